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
// with that from its opening to its close.
//
// A decorator keeps the optional interfaces of what it wraps: the store remains a
// [blob.Inspector], and a reader that is an [io.WriterTo] remains one. Without
// WriteTo, a large GET would be copied once more, through a small buffer.
func (o *Observer) Blob(s blob.Store) blob.Store { return &blobCalls{blob.Inspect(s), o} }

type blobCalls struct {
	blob.Inspector
	o *Observer
}

// Create implements [blob.Store].
func (s *blobCalls) Create(ctx context.Context, id blob.ID) (blob.Writer, error) {
	ctx, end := s.o.begin(ctx, blobStore, "Write")
	w, err := result(ctx, s.o, blobStore, "Create", func(ctx context.Context) (blob.Writer, error) { return s.Inspector.Create(ctx, id) })
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

// Abort implements [blob.Writer]. An aborted upload is no failure of the engine.
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
		return s.Inspector.Open(ctx, ref, offset, length)
	})
	if err != nil {
		end(err)
		return nil, err
	}
	observed := &reader{ReadCloser: r, o: s.o, span: trace.SpanFromContext(ctx), end: end}
	if direct, ok := r.(io.WriterTo); ok {
		return &directReader{observed, direct}, nil
	}
	return observed, nil
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
	r.count(n)
	if err != nil && err != io.EOF { // a reader's own io.EOF is never wrapped
		r.failed = err
	}
	return n, err
}

func (r *reader) count(n int) {
	r.read += n
	r.o.metrics.BlobBytes(n, 0)
}

// directReader is a reader that also has WriteTo, which writes from its own memory.
type directReader struct {
	*reader
	direct io.WriterTo
}

// WriteTo implements [io.WriterTo].
func (r *directReader) WriteTo(w io.Writer) (int64, error) {
	to := &countedWriter{w: w, r: r.reader}
	n, err := r.direct.WriteTo(to)
	if err != nil && to.failed == nil { // else the client failed, not the engine
		r.failed = err
	}
	return n, err
}

// countedWriter counts the bytes that a reader writes.
type countedWriter struct {
	w      io.Writer
	r      *reader
	failed error
}

// Write implements [io.Writer].
func (w *countedWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.r.count(n)
	w.failed = err
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
	return s.o.call(ctx, blobStore, "Delete", func(ctx context.Context) error { return s.Inspector.Delete(ctx, id) })
}
