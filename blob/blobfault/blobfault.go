// Package blobfault makes a blob store fail on purpose.
package blobfault

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/pithos/pithos/blob"
)

// An Op is something that can fail.
type Op string

// The operations. Abort has no error to return and only ever takes its time.
const (
	Create Op = "create"
	Write  Op = "write"
	Commit Op = "commit"
	Abort  Op = "abort"
	Open   Op = "open"
	Read   Op = "read"
	Delete Op = "delete"
	Walk   Op = "walk"
)

// A Fault is what happens to one call. The zero value is no fault.
type Fault struct {
	// Latency passes before the call, or until its context ends.
	Latency time.Duration
	// Before is returned in place of making the call.
	Before error
	// After is returned though the call was made and succeeded: the outcome
	// that a lost answer leaves unknown.
	After error
}

// A Plan decides about each call, from several goroutines.
type Plan func(Op) Fault

// Wrap returns s with the faults of plan.
func Wrap(s blob.Store, plan Plan) *Store { return &Store{Store: s, plan: plan} }

// Store is a [blob.Store] with faults in front of another one.
type Store struct {
	blob.Store
	plan Plan
}

var _ blob.Store = (*Store)(nil)

// call makes a call with the fault that the plan has for it.
func call(ctx context.Context, plan Plan, op Op, f func() error) error {
	fault := plan(op)
	if fault.Latency > 0 {
		timer := time.NewTimer(fault.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if fault.Before != nil {
		return fault.Before
	}
	if err := f(); err != nil {
		return err
	}
	return fault.After
}

// Create implements [blob.Store].
func (s *Store) Create(ctx context.Context, id blob.ID) (blob.Writer, error) {
	w := &writer{ctx: ctx, plan: s.plan}
	err := call(ctx, s.plan, Create, func() (err error) {
		w.Writer, err = s.Store.Create(ctx, id)
		return err
	})
	if err != nil {
		if w.Writer != nil {
			w.Writer.Abort() // the caller has no writer
		}
		return nil, err
	}
	return w, nil
}

// Open implements [blob.Store].
func (s *Store) Open(ctx context.Context, ref blob.Ref, offset, length int64) (io.ReadCloser, error) {
	r := &reader{ctx: ctx, plan: s.plan}
	err := call(ctx, s.plan, Open, func() (err error) {
		r.ReadCloser, err = s.Store.Open(ctx, ref, offset, length)
		return err
	})
	if err != nil {
		if r.ReadCloser != nil {
			_ = r.ReadCloser.Close() // the caller has no reader
		}
		return nil, err
	}
	if direct, ok := r.ReadCloser.(io.WriterTo); ok {
		return &directReader{r, direct}, nil
	}
	return r, nil
}

// Delete implements [blob.Store].
func (s *Store) Delete(ctx context.Context, id blob.ID) error {
	return call(ctx, s.plan, Delete, func() error { return s.Store.Delete(ctx, id) })
}

// Walk implements [blob.Store]. The fault strikes before each visit.
func (s *Store) Walk(ctx context.Context, visit func(blob.Info) error) error {
	return s.Store.Walk(ctx, func(info blob.Info) error {
		return call(ctx, s.plan, Walk, func() error { return visit(info) })
	})
}

// writer sticks to its first error, as a writer does.
type writer struct {
	blob.Writer
	ctx  context.Context
	plan Plan
	err  error
}

func (w *writer) Write(p []byte) (n int, err error) {
	if w.err != nil {
		return 0, w.err
	}
	w.err = call(w.ctx, w.plan, Write, func() (err error) {
		n, err = w.Writer.Write(p)
		return err
	})
	return n, w.err
}

func (w *writer) Commit() (ref blob.Ref, err error) {
	if w.err != nil {
		return blob.Ref{}, w.err
	}
	w.err = call(w.ctx, w.plan, Commit, func() (err error) {
		ref, err = w.Writer.Commit()
		return err
	})
	if w.err != nil {
		return blob.Ref{}, w.err
	}
	return ref, nil
}

func (w *writer) Abort() {
	// There is no error to give: only the latency counts.
	_ = call(w.ctx, func(op Op) Fault { return Fault{Latency: w.plan(op).Latency} }, Abort, func() error {
		w.Writer.Abort()
		return nil
	})
}

// reader sticks to its first error.
type reader struct {
	io.ReadCloser
	ctx  context.Context
	plan Plan
	err  error
}

func (r *reader) Read(p []byte) (n int, err error) {
	if r.err != nil {
		return 0, r.err
	}
	r.err = call(r.ctx, r.plan, Read, func() (err error) {
		n, err = r.ReadCloser.Read(p)
		return err
	})
	return n, r.err
}

// directReader is a reader that writes from its own memory, as the one below
// it does. Each write is a call of Read to the plan, so that every byte passes
// it.
type directReader struct {
	*reader
	direct io.WriterTo
}

// WriteTo implements [io.WriterTo].
func (r *directReader) WriteTo(w io.Writer) (int64, error) {
	if r.err == io.EOF {
		return 0, nil
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.direct.WriteTo(plannedWriter{r.reader, w})
	if err != nil {
		r.err = err
	}
	return n, err
}

type plannedWriter struct {
	r *reader
	w io.Writer
}

func (w plannedWriter) Write(p []byte) (n int, err error) {
	err = call(w.r.ctx, w.r.plan, Read, func() (err error) {
		n, err = w.w.Write(p)
		return err
	})
	return n, err
}

// Nth returns a plan that strikes the nth call of op, counted from 1, with
// fault, and reports through the second function whether it has.
func Nth(op Op, n int, fault Fault) (Plan, func() bool) {
	var mu sync.Mutex
	calls := 0
	plan := func(o Op) Fault {
		mu.Lock()
		defer mu.Unlock()
		if o == op {
			if calls++; calls == n {
				return fault
			}
		}
		return Fault{}
	}
	struck := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return calls >= n
	}
	return plan, struck
}
