package meta

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
)

// visitor visits rows of every kind.
var visitor = Visitor{
	Version:     func(VersionRow) error { return nil },
	Upload:      func(Upload, []Part) error { return nil },
	QueueEntry:  func(QueueEntry) error { return nil },
	Reference:   func(QueuedBlob) error { return nil },
	ListingPart: func(ListingPart) error { return nil },
}

// TestEveryMethodIsIntercepted calls each method of Store and Pending with zero
// arguments: the operation of its name is reported, and its error returned.
func TestEveryMethodIsIntercepted(t *testing.T) {
	passedOn := []string{"InlineMax", "Close"}
	refused := errors.New("refused")
	for _, of := range []struct {
		methods reflect.Type
		wrap    func(Around) any
	}{
		{reflect.TypeFor[Store](), func(around Around) any { return Intercept(nothing{}, around) }},
		{reflect.TypeFor[Pending](), func(around Around) any {
			p, err := Intercept(nothing{}, func(ctx context.Context, op Op, call func(context.Context) error) error {
				if op == OpBegin {
					return call(ctx)
				}
				return around(ctx, op, call)
			}).Begin(t.Context(), BucketID{}, "k", 1, false)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}},
	} {
		for i := range of.methods.NumMethod() {
			m := of.methods.Method(i)
			if slices.Contains(passedOn, m.Name) {
				continue
			}
			var ops []Op
			wrapped := of.wrap(func(_ context.Context, op Op, _ func(context.Context) error) error {
				ops = append(ops, op)
				return refused
			})
			results := reflect.ValueOf(wrapped).MethodByName(m.Name).Call(arguments(t, m.Type))
			want := []Op{Op(m.Name)}
			if m.Name == "Walk" {
				want = []Op{OpWalkVersions} // the first, whose error ends it
			}
			if !slices.Equal(ops, want) {
				t.Errorf("%s reports %v", m.Name, ops)
			}
			if n := len(results); n > 0 {
				if err, _ := results[n-1].Interface().(error); !errors.Is(err, refused) {
					t.Errorf("%s returns %v", m.Name, err)
				}
			}
		}
	}
}

// arguments are zero values of a method's parameters, but for its context and
// its visitor.
func arguments(t *testing.T, method reflect.Type) (in []reflect.Value) {
	for i := range method.NumIn() {
		switch at := method.In(i); {
		case method.IsVariadic() && i == method.NumIn()-1: // none
		case at == reflect.TypeFor[context.Context]():
			in = append(in, reflect.ValueOf(t.Context()))
		case at == reflect.TypeFor[Visitor]():
			in = append(in, reflect.ValueOf(visitor))
		default:
			in = append(in, reflect.Zero(at))
		}
	}
	return in
}

// nothing is a store whose Begin, Walk and CreateBucket work, as far as the
// tests need them.
type nothing struct{ Store }

type nothingPending struct{ Pending }

func (nothing) Begin(context.Context, BucketID, string, int64, bool) (Pending, error) {
	return nothingPending{}, nil
}

func (nothing) Walk(context.Context, Share, Visitor) error { return nil }

func (nothing) Scan(context.Context, BucketID, ScanOptions) ([]Entry, bool, error) {
	return nil, false, nil
}

func (nothing) CreateBucket(context.Context, Bucket) (Bucket, error) {
	return Bucket{Name: "there"}, fmt.Errorf("create: %w", ErrExists)
}

func TestOperationsAreToldApart(t *testing.T) {
	var ops []Op
	s := Intercept(nothing{}, func(ctx context.Context, op Op, call func(context.Context) error) error {
		ops = append(ops, op)
		return call(ctx)
	})
	for _, all := range []bool{false, true} {
		if _, _, err := s.Scan(t.Context(), BucketID{}, ScanOptions{All: all}); err != nil {
			t.Error(err)
		}
	}
	if err := s.Walk(t.Context(), Share{Of: 1}, visitor); err != nil {
		t.Error(err)
	}
	if err := s.Walk(t.Context(), Share{Of: 1}, Visitor{Reference: visitor.Reference}); err != nil {
		t.Error(err)
	}
	want := []Op{OpScan, OpScanAll, OpWalkVersions, OpWalkUploads, OpWalkQueue, OpWalkReferences, OpWalkListings, OpWalkReferences}
	if !slices.Equal(ops, want) {
		t.Errorf("reported: %v", ops)
	}
}

func TestResultsComeWithTheStoresOwnErrors(t *testing.T) {
	injected := errors.New("injected")
	for name, c := range map[string]struct {
		around Around
		want   string
		err    error
	}{
		"passed on": {func(ctx context.Context, _ Op, call func(context.Context) error) error { return call(ctx) }, "there", ErrExists},
		"wrapped": {func(ctx context.Context, _ Op, call func(context.Context) error) error {
			return fmt.Errorf("%w: %w", injected, call(ctx))
		}, "there", ErrExists},
		"replaced": {func(ctx context.Context, _ Op, call func(context.Context) error) error {
			_ = call(ctx)
			return injected
		}, "", injected},
		"not made": {func(context.Context, Op, func(context.Context) error) error { return injected }, "", injected},
	} {
		got, err := Intercept(nothing{}, c.around).CreateBucket(t.Context(), Bucket{})
		if got.Name != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", name, got.Name, err)
		}
	}
}
