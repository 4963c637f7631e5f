//go:build unix && !linux

package cassandratest

import "syscall"

// childAttr gives a server a process group of its own, so that an interrupt
// typed at a terminal reaches the tests first, which then end the server.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
