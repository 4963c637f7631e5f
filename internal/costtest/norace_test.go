//go:build !race

package costtest

// cpuFactor multiplies the bounds of CPU time.
const cpuFactor = 1
