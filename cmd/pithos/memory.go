package main

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
)

const (
	// ownMemory is the memory of the process without the bodies of requests, in bytes.
	ownMemory = 160 << 20
	// leastBodies is the least that service.max-memory may be, in bytes.
	leastBodies = 16 << 20
)

// budget is how the memory of the process is divided, in bytes.
type budget struct {
	allowed int64  // limit of the process; 0: none
	from    string // where the limit comes from
	soft    int64  // memory limit of the Go runtime: above it, the runtime collects garbage more often
	bodies  int64  // for the bodies of running requests
}

// divideMemory divides the memory of the process. GOMEMLIMIT is used as it is. Of
// the limit of a cgroup (a container's or a unit's) a tenth is left to what is
// not Go's heap, since the kernel kills a process that exceeds it. asked is
// service.max-memory, 0 if it is not set.
func divideMemory(asked config.Size, goLimit, cgroup int64) budget {
	b := budget{soft: math.MaxInt64}
	switch {
	case goLimit > 0:
		b.allowed, b.from, b.soft = goLimit, "GOMEMLIMIT", goLimit
	case cgroup > 0:
		b.allowed, b.from, b.soft = cgroup, "the limit of the cgroup", cgroup/10*9
	}
	switch {
	case asked > 0:
		b.bodies = int64(asked)
	case b.allowed > 0:
		b.bodies = max(leastBodies, b.soft-ownMemory)
	default:
		b.bodies = config.DefaultMaxMemory
	}
	if goLimit == 0 {
		b.soft = min(b.soft, ownMemory+b.bodies)
	}
	return b
}

// fits reports whether the process needs no more than its limit.
func (b budget) fits() bool { return b.allowed == 0 || ownMemory+b.bodies <= b.allowed }

// currentBudget returns the budget of this process.
func currentBudget(asked config.Size) budget {
	goLimit := int64(0)
	if limit := debug.SetMemoryLimit(-1); os.Getenv("GOMEMLIMIT") != "" && limit != math.MaxInt64 {
		goLimit = limit
	}
	return divideMemory(asked, goLimit, cgroupLimit(os.DirFS("/")))
}

// limitMemory sets the memory limit of the Go runtime, and logs the budget.
func limitMemory(b budget, log *zap.Logger) {
	if b.from != "GOMEMLIMIT" {
		debug.SetMemoryLimit(b.soft)
	}
	fields := []zap.Field{zap.Stringer("for bodies", config.Size(b.bodies)), zap.Int64("soft limit", b.soft)}
	if b.allowed > 0 {
		fields = append(fields, zap.String("allowed by", b.from), zap.Int64("allowed", b.allowed))
	}
	if !b.fits() {
		log.Warn("the memory limit of the process is too low; raise it, or lower service.max-memory", append(fields, zap.Int64("needed", ownMemory+b.bodies))...)
		return
	}
	log.Info("memory", fields...)
}

// cgroupLimit returns the least limit of the cgroups that this process is in, in
// bytes; 0 if there is none. root is the root of the file system. See
// cgroups(7): version 2 has one hierarchy, version 1 one for memory.
func cgroupLimit(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0 // no Linux
	}
	least := int64(0)
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		mount, file := "", ""
		switch {
		case parts[1] == "":
			mount, file = "sys/fs/cgroup", "memory.max"
		case strings.Contains(","+parts[1]+",", ",memory,"):
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		if n := leastLimit(root, mount, parts[2], file); n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// unlimited is about the value of version 1 without a limit.
const unlimited = math.MaxInt64 / 2

// leastLimit reads the limits from a cgroup up to the root. In a container the
// path may be one of the host, which does not exist here: then the root is the
// cgroup of the container.
func leastLimit(root fs.FS, mount, group, file string) int64 {
	least := int64(0)
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		text, err := fs.ReadFile(root, path.Join(mount, group, file))
		n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max": none
		if err == nil && bad == nil && n > 0 && n < unlimited && (least == 0 || n < least) {
			least = n
		}
		if group == "/" {
			return least
		}
	}
}
