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

// cpu is the CPU time that the server and this process have used.
type cpu struct{ server, here time.Duration }

// cpuTime is what was used so far; nothing where no server was named.
// (proc(5), /proc/[pid]/stat.)
func cpuTime(b *testing.B) (used cpu) {
	if *serverPID == 0 {
		return used
	}
	for pid, sum := range map[int]*time.Duration{os.Getpid(): &used.here, *serverPID: &used.server} {
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
			*sum += time.Duration(n) * clockTick
		}
	}
	return used
}
