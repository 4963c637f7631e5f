package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// clockTick is the unit of the times in Linux's /proc.
const clockTick = 10 * time.Millisecond

// cpuTime is what this process and the server have used so far; 0 where no
// server was named. (proc(5), /proc/[pid]/stat.)
func cpuTime(b *testing.B) time.Duration {
	if *serverPID == 0 {
		return 0
	}
	var sum time.Duration
	for _, pid := range []int{os.Getpid(), *serverPID} {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Fatal(err)
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		for _, f := range fields[11:13] { // user and system time
			n, err := strconv.Atoi(string(f))
			if err != nil {
				b.Fatalf("%s: %v", stat, err)
			}
			sum += time.Duration(n) * clockTick
		}
	}
	return sum
}
