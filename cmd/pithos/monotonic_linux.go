package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// monotonic is what systemd requires with RELOADING=1: the time of the reload
// by its clock.
func monotonic() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return ""
	}
	return fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000)
}
