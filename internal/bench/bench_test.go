package bench

import (
	"fmt"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

func TestMain(m *testing.M) { s3test.Main(m) }

// few and many are the workers that small and large objects are moved by.
var (
	few  = []int{1, 4}
	many = []int{1, 8, 32}
)

func BenchmarkPut4KiB(b *testing.B) {
	s, p := newBare(b), newPithos(b)
	each := []side{{"bare", s.putSmall}, {"store", p.putSmall}, {"http", p.putSmallHTTP}}
	byWorkers(b, many, each...)
}

func BenchmarkGet4KiB(b *testing.B) {
	s, p := newBare(b), newPithos(b)
	s.loadSmall(b)
	p.loadSmall(b)
	byWorkers(b, many, side{"bare", s.getSmall}, side{"store", p.getSmall}, side{"http", p.getSmallHTTP})
}

func BenchmarkPut64MiB(b *testing.B) {
	s, p := newBare(b), newPithos(b)
	byWorkers(b, few, side{"bare", s.putLarge}, side{"store", p.putLarge}, side{"http", p.putLargeHTTP})
}

func BenchmarkGet64MiB(b *testing.B) {
	s, p := newBare(b), newPithos(b)
	s.loadLarge(b)
	p.loadLarge(b)
	byWorkers(b, few, side{"bare", s.getLarge}, side{"store", p.getLarge}, side{"http", p.getLargeHTTP})
}

func BenchmarkList1000(b *testing.B) {
	s, p := newBare(b), newPithos(b)
	s.loadList(b)
	p.loadList(b)
	byWorkers(b, []int{1, 8}, side{"bare", s.list}, side{"store", p.list}, side{"http", p.listHTTP})
}

func byWorkers(b *testing.B, workers []int, sides ...side) {
	for _, n := range workers {
		b.Run(fmt.Sprintf("workers=%d", n), func(b *testing.B) { compare(b, n, sides...) })
	}
}
