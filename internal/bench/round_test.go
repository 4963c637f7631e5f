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
		rate(b, workers, *warmTime, s.do)
	}
	rates := make([][]float64, len(sides))
	first := 0
	for b.Loop() {
		for i := range sides {
			i = (i + first) % len(sides)
			rates[i] = append(rates[i], rate(b, workers, *roundTime, sides[i].do))
		}
		first++
	}
	b.ReportMetric(0, "ns/op") // of no meaning here
	for i, s := range sides {
		b.ReportMetric(median(rates[i]), s.name+"/s")
		if i == 0 {
			continue
		}
		ratios := make([]float64, len(rates[i]))
		for round := range ratios {
			ratios[round] = rates[i][round] / rates[0][round]
		}
		b.ReportMetric(median(ratios), s.name+"-ratio")
	}
}

// rate returns how many operations were done a second, in at least the given
// time.
func rate(b *testing.B, workers int, atLeast time.Duration, do operation) float64 {
	var group sync.WaitGroup
	var done atomic.Int64
	begin := time.Now()
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
	return float64(done.Load()) / took.Seconds()
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}
