package bench

import (
	"context"
	"flag"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	roundTime = flag.Duration("round", time.Second, "how long each side runs in a round")
	serverPID = flag.Int("server-pid", 0, "process id of Cassandra: report the CPU time of an operation, there and here")
	warmTime  = flag.Duration("warm", 500*time.Millisecond, "how long each side runs before the first round")
)

// operation does one thing once. n is a number that no other call of the
// benchmark has.
type operation func(ctx context.Context, n int64) error

// number is the last that an operation was given.
var number atomic.Int64

// side is one of those that are compared.
type side struct {
	name string
	do   operation
}

// compare runs the sides, the first of which is what the others are measured
// against, by so many workers each.
func compare(b *testing.B, workers int, sides ...side) {
	for _, s := range sides {
		run(b, workers, *warmTime, s.do)
	}
	rates, costs, here := make([][]float64, len(sides)), make([][]float64, len(sides)), make([][]float64, len(sides))
	first := 0
	for b.Loop() {
		for i := range sides {
			i = (i + first) % len(sides)
			r := run(b, workers, *roundTime, sides[i].do)
			rates[i] = append(rates[i], r.rate)
			costs[i], here[i] = append(costs[i], r.cost), append(here[i], r.here)
		}
		first++
	}
	b.ReportMetric(0, "ns/op") // of no meaning here
	for i, s := range sides {
		b.ReportMetric(median(rates[i]), s.name+"/s")
		if *serverPID != 0 {
			b.ReportMetric(median(costs[i]), s.name+"-cpu-ms")
			b.ReportMetric(median(here[i]), s.name+"-here-ms")
		}
		if i > 0 {
			b.ReportMetric(median(ratios(rates[i], rates[0])), s.name+"-ratio")
		}
		if i > 0 && *serverPID != 0 {
			b.ReportMetric(median(ratios(costs[0], costs[i])), s.name+"-cpu-ratio")
		}
	}
}

func ratios(a, b []float64) []float64 {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = a[i] / b[i]
	}
	return r
}

// result says how many operations were done a second, and what CPU time each
// took, in milliseconds: there and here together, and here alone.
type result struct{ rate, cost, here float64 }

// run does an operation for at least the given time.
func run(b *testing.B, workers int, atLeast time.Duration, do operation) result {
	var group sync.WaitGroup
	var done atomic.Int64
	begin, used := time.Now(), cpuTime(b)
	for range workers {
		group.Go(func() {
			for time.Since(begin) < atLeast {
				if err := do(b.Context(), number.Add(1)); err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	took := time.Since(begin)
	if b.Failed() {
		b.FailNow()
	}
	now, n := cpuTime(b), float64(done.Load())
	here, there := now.here-used.here, now.server-used.server
	return result{rate: n / took.Seconds(), cost: (here + there).Seconds() * 1000 / n, here: here.Seconds() * 1000 / n}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}
