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
	// ownMemory is what the process takes beside the bodies of requests, in bytes.
	ownMemory = 160 << 20
	// leastBodies is the least that service.max-memory may be, in bytes.
	leastBodies = 16 << 20
)

// budget is how the memory of the process is shared out, in bytes.
type budget struct {
	allowed int64  // what the process may take; 0: as much as there is
	from    string // who says so
	soft    int64  // the limit for Go's collector: above it, it works harder rather than let the process grow
	bodies  int64  // for the bodies of running requests
}

// share shares out what the process may take. GOMEMLIMIT is taken as it is; of
// the limit of a cgroup (a container's or a unit's) a tenth is left to what is
// not Go's heap, because who goes over it is killed. asked is service.max-memory,
// 0 where it is not set.
func share(asked config.Size, goLimit, cgroup int64) budget {
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

// fits tells whether all that the process takes is within what it may take.
func (b budget) fits() bool { return b.allowed == 0 || ownMemory+b.bodies <= b.allowed }

// currentBudget is that of this process.
func currentBudget(asked config.Size) budget {
	goLimit := int64(0)
	if limit := debug.SetMemoryLimit(-1); os.Getenv("GOMEMLIMIT") != "" && limit != math.MaxInt64 {
		goLimit = limit
	}
	return share(asked, goLimit, cgroupLimit(os.DirFS("/")))
}

// limitMemory holds Go's collector to the budget, and says how it was made.
func limitMemory(b budget, log *zap.Logger) {
	if b.from != "GOMEMLIMIT" {
		debug.SetMemoryLimit(b.soft)
	}
	fields := []zap.Field{zap.Stringer("for bodies", config.Size(b.bodies)), zap.Int64("soft limit", b.soft)}
	if b.allowed > 0 {
		fields = append(fields, zap.String("allowed by", b.from), zap.Int64("allowed", b.allowed))
	}
	if !b.fits() {
		log.Warn("the process may take less memory than it needs: raise the limit, or lower service.max-memory", append(fields, zap.Int64("needed", ownMemory+b.bodies))...)
		return
	}
	log.Info("memory", fields...)
}

// cgroupLimit is the least limit of the cgroups that this process is in, in
// bytes; 0 where there is none. root is the file system's root. See
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

// unlimited is about what version 1 says where there is no limit.
const unlimited = math.MaxInt64 / 2

// leastLimit goes from a cgroup up to the root. In a container the path may be
// one of the machine, which is not there: then the root is the container's.
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
