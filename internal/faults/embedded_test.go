//go:build unix

package faults

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTheEmbeddedEngineUnderFaults judges histories of clients of the embedded
// engine, whose process is stopped, killed and started again.
func TestTheEmbeddedEngineUnderFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for some seconds")
	}
	file := embeddedSettings(t, "max-requests: 64", filepath.Join(t.TempDir(), "data"))
	g := runEmbedded(t, file)
	makeBuckets(t, g)
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	t.Logf("seed %d", seed)
	linearRun(t, []*gatewayProcess{g}, seed, &nemesis{t: t, random: rand.New(rand.NewPCG(seed, 0)),
		gateways: []*gatewayProcess{g}, most: max(*duration/2, 5*time.Second)})
	g.kill()
	out, err := runCheck(t, file, "--deep")
	if err != nil || !strings.Contains(out, "nothing is wrong") {
		t.Errorf("check --deep: %v\n%s", err, out)
	}
}
