package observe

import (
	"context"
	"io"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/pithos/pithos/blob"
)

const blobStore = "blob"

// Blob observes a blob store. Create and Open are counted with the time until
// they return; Write with the time from a blob's creation to its commit, Read
// with that from its opening to its close. What else s can do is hidden.
func (o *Observer) Blob(s blob.Store) blob.Store { return &blobCalls{s, o} }

type blobCalls struct {
	blob.Store
	o *Observer
}

// Create implements [blob.Store].
func (s *blobCalls) Create(ctx context.Context, id blob.ID) (blob.Writer, error) {
	ctx, end := s.o.begin(ctx, blobStore, "Write")
	w, err := result(ctx, s.o, blobStore, "Create", func(ctx context.Context) (blob.Writer, error) { return s.Store.Create(ctx, id) })
	if err != nil {
		end(err)
		return nil, err
	}
	return &writer{Writer: w, o: s.o, span: trace.SpanFromContext(ctx), end: end}, nil
}

// writer observes a blob that is being written.
type writer struct {
	blob.Writer
	o       *Observer
	span    trace.Span
	end     func(error) // nil once it was called
	written int
}

// Write implements [io.Writer].
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.written += n
	w.o.metrics.BlobBytes(0, n)
	return n, err
}

// Commit implements [blob.Writer].
func (w *writer) Commit() (blob.Ref, error) {
	ref, err := w.Writer.Commit()
	w.finish(err)
	return ref, err
}

// Abort implements [blob.Writer]. That an upload was given up is no failure of
// the engine.
func (w *writer) Abort() {
	w.Writer.Abort()
	w.finish(nil)
}

func (w *writer) finish(err error) {
	if w.end == nil {
		return
	}
	w.span.SetAttributes(attribute.Int("pithos.bytes", w.written))
	w.end(err)
	w.end = nil
}

// Open implements [blob.Store].
func (s *blobCalls) Open(ctx context.Context, ref blob.Ref, offset, length int64) (io.ReadCloser, error) {
	ctx, end := s.o.begin(ctx, blobStore, "Read")
	r, err := result(ctx, s.o, blobStore, "Open", func(ctx context.Context) (io.ReadCloser, error) {
		return s.Store.Open(ctx, ref, offset, length)
	})
	if err != nil {
		end(err)
		return nil, err
	}
	return &reader{ReadCloser: r, o: s.o, span: trace.SpanFromContext(ctx), end: end}, nil
}

// reader observes a blob that is being read.
type reader struct {
	io.ReadCloser
	o      *Observer
	span   trace.Span
	end    func(error) // nil once it was called
	read   int
	failed error
}

// Read implements [io.Reader].
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.read += n
	r.o.metrics.BlobBytes(n, 0)
	if err != nil && err != io.EOF { // a reader's own io.EOF is never wrapped
		r.failed = err
	}
	return n, err
}

// Close implements [io.Closer].
func (r *reader) Close() error {
	err := r.ReadCloser.Close()
	if r.end != nil {
		r.span.SetAttributes(attribute.Int("pithos.bytes", r.read))
		r.end(r.failed)
		r.end = nil
	}
	return err
}

// Delete implements [blob.Store].
func (s *blobCalls) Delete(ctx context.Context, id blob.ID) error {
	return s.o.call(ctx, blobStore, "Delete", func(ctx context.Context) error { return s.Store.Delete(ctx, id) })
}
