package main

import (
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/pithos/pithos/config"
)

func TestMemoryIsSharedOut(t *testing.T) {
	const mib = 1 << 20
	cases := map[string]struct {
		asked           config.Size
		goLimit, cgroup int64
		bodies, soft    int64
		fits            bool
	}{
		"nothing is said":                   {0, 0, 0, 512 * mib, 672 * mib, true},
		"max-memory alone":                  {64 * mib, 0, 0, 64 * mib, 224 * mib, true},
		"a container of 512 MiB":            {0, 0, 512 * mib, 512*mib/10*9 - 160*mib, 512 * mib / 10 * 9, true},
		"a large container":                 {0, 0, 4096 * mib, 4096*mib/10*9 - 160*mib, 4096 * mib / 10 * 9, true},
		"a container that is too small":     {0, 0, 128 * mib, 16 * mib, 128 * mib / 10 * 9, false},
		"max-memory fits the container":     {64 * mib, 0, 1024 * mib, 64 * mib, 224 * mib, true},
		"max-memory beyond the container":   {512 * mib, 0, 512 * mib, 512 * mib, 512 * mib / 10 * 9, false},
		"GOMEMLIMIT":                        {0, 400 * mib, 0, 240 * mib, 400 * mib, true},
		"GOMEMLIMIT wins over the cgroup":   {0, 400 * mib, 512 * mib, 240 * mib, 400 * mib, true},
		"GOMEMLIMIT with max-memory":        {300 * mib, 400 * mib, 0, 300 * mib, 400 * mib, false},
		"GOMEMLIMIT is taken as it is":      {64 * mib, 4096 * mib, 0, 64 * mib, 4096 * mib, true},
		"GOMEMLIMIT below what is sensible": {0, 50 * mib, 0, 16 * mib, 50 * mib, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := divideMemory(c.asked, c.goLimit, c.cgroup)
			if b.bodies != c.bodies || b.soft != c.soft || b.fits() != c.fits {
				t.Errorf("%+v, fits %v; want %+v", b, b.fits(), c)
			}
		})
	}
}

func TestLimitOfTheCgroupIsFound(t *testing.T) {
	cases := map[string]struct {
		files map[string]string
		want  int64
	}{
		"no Linux": {nil, 0},
		"a container, version 2": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 536870912},
		"no limit, version 2": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"a unit in a slice that has less": {map[string]string{
			"proc/self/cgroup": "0::/system.slice/pithos.service\n",
			"sys/fs/cgroup/system.slice/pithos.service/memory.max": "2000\n", "sys/fs/cgroup/system.slice/memory.max": "1000\n"}, 1000},
		"version 1": {map[string]string{
			"proc/self/cgroup": "5:cpu:/\n4:memory:/docker/abc\n0::/\n",
			"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "3000\n"}, 3000},
		"version 1, seen from within a container": {map[string]string{
			"proc/self/cgroup":                           "4:rdma,memory:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "4000\n"}, 4000},
		"no limit, version 1": {map[string]string{
			"proc/self/cgroup":                           "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"nonsense": {map[string]string{"proc/self/cgroup": "x\n0::/../..\n", "sys/fs/cgroup/memory.max": "-5"}, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for path, text := range c.files {
				root[path] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := cgroupLimit(root); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// TestGoMemoryLimitIsRespected starts a process with GOMEMLIMIT, which says so.
func TestGoMemoryLimitIsRespected(t *testing.T) {
	p := startServe(t, "", "GOMEMLIMIT=400MiB", "PITHOS_DATA="+filepath.Join(t.TempDir(), "data"))
	line := p.log.await(t, "memory")
	if line["allowed by"] != "GOMEMLIMIT" || line["for bodies"] != "240M" || line["soft limit"] != 400.*(1<<20) {
		t.Errorf("got %v", line)
	}
	p = startServe(t, "service: {max-memory: 600M}", "GOMEMLIMIT=400MiB", "PITHOS_DATA="+filepath.Join(t.TempDir(), "data"))
	if line := p.log.await(t, "the memory limit of the process is too low; raise it, or lower service.max-memory"); line["for bodies"] != "600M" {
		t.Errorf("got %v", line)
	}
}
