package cassandratest

import "syscall"

// childAttr ties a server to the process that started it: however that one
// dies, SIGKILL included, the kernel ends the server too.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
