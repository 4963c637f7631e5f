package edge

import (
	"context"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/s3api"
)

// note is what is found out about a request on its way.
type note struct {
	s3api.Served
	body    *countedBody
	refused bool
	logged  bool // by package s3api
}

// reached reports whether package s3api has answered and says that the engine
// did not fail: a 503 of it does not make fewer requests be served.
func (n *note) reached() bool { return n.logged && !n.EngineFailed }

type noteKey struct{}

// noteOf is the note of a request; one that nobody reads where there is none.
func noteOf(ctx context.Context) *note {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		return n
	}
	return &note{}
}

// observe serves a request by h, counts it and makes a span of it.
func (s *Server) observe(w http.ResponseWriter, r *http.Request, h http.Handler) {
	start := time.Now()
	end := s.metrics.Begin()
	n := &note{body: &countedBody{ReadCloser: r.Body}}
	ctx := context.WithValue(r.Context(), noteKey{}, n)
	client, malformed := s.proxies.client(r)
	if client.Proxy != "" {
		ctx = s3api.WithClient(ctx, client)
	}
	ctx, span := s.startSpan(ctx, r.WithContext(ctx))
	out := &countedWriter{ResponseWriter: w, start: start}
	defer func() { // also where the handler cuts the connection, by a panic
		took := time.Since(start)
		end(metrics.Request{
			Operation: n.Operation, Bucket: n.Bucket, AccessKey: n.AccessKey, Status: out.status, Code: n.Code,
			UnknownHeaders: n.UnknownHeaders, Refused: n.refused, In: n.body.read, Out: out.bytes, Took: took, FirstByte: out.firstByte,
		})
		endSpan(span, n, out)
		s.logRefused(r.WithContext(ctx), n, out, took)
	}()
	observed := r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		observed.Body = n.body
	}
	if malformed != nil {
		refuse(out, observed, s3err.Newf(s3err.InvalidRequest, "%v", malformed))
	} else {
		h.ServeHTTP(out, observed)
	}
	if out.bytes > 0 {
		flushStream(out, r)
	}
}

// logRefused writes the line of a request that did not get as far as package
// s3api, which writes that of all others.
func (s *Server) logRefused(r *http.Request, n *note, out *countedWriter, took time.Duration) {
	if n.logged {
		return
	}
	fields := []zap.Field{zap.String("op", ""), zap.String("method", shownMethod(r)), zap.Int("status", out.status),
		zap.Duration("duration", took), zap.Int64("bytes", out.bytes), zap.Int64("received", n.body.read),
		zap.String("code", n.Code)}
	s.log.Info("request", append(fields, s3api.LogClient(r)...)...)
}

// served is told by package s3api what became of a request.
func (s *Server) served(ctx context.Context, served s3api.Served) []zap.Field {
	n := noteOf(ctx)
	if n.refused { // before, for want of memory: what was answered was that
		served.Code = n.Code
	}
	n.Served, n.logged = served, true
	var fields []zap.Field
	if n.body != nil {
		fields = append(fields, zap.Int64("received", n.body.read))
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		fields = append(fields, zap.String("trace", span.TraceID().String()))
	}
	return fields
}

// shownMethod is a method for logs and traces: clients may make up one of 60 KB.
func shownMethod(r *http.Request) string { return r.Method[:min(len(r.Method), 32)] }

// startSpan starts a request's span, within the trace that the client brings
// in the header traceparent (W3C Trace Context), if any.
func (s *Server) startSpan(ctx context.Context, r *http.Request) (context.Context, trace.Span) {
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	return s.tracer.Start(ctx, shownMethod(r), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", shownMethod(r)), attribute.String("client.address", clientAddress(r)),
		attribute.String("network.protocol.version", r.Proto)))
}

func clientAddress(r *http.Request) string {
	if a := s3api.ClientOf(r).Address; a.IsValid() {
		return a.String()
	}
	return r.RemoteAddr
}

// endSpan names the span by what the request turned out to be. Neither keys
// of objects nor queries are in it.
func endSpan(span trace.Span, n *note, out *countedWriter) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	if n.Operation != "" {
		span.SetName(n.Operation)
	}
	span.SetAttributes(
		attribute.String("rpc.method", n.Operation), attribute.String("aws.s3.bucket", n.Bucket),
		attribute.String("aws.request_id", n.ID), attribute.Int("http.response.status_code", out.status),
		attribute.Int64("http.request.body.size", n.body.read), attribute.Int64("http.response.body.size", out.bytes))
	if n.Code != "" {
		span.SetAttributes(attribute.String("error.type", n.Code))
	}
	if out.status >= http.StatusInternalServerError || out.status == 0 {
		span.SetStatus(codes.Error, n.Code)
	}
}

// countedBody counts the bytes of a request's body.
type countedBody struct {
	io.ReadCloser
	read int64
}

// Read implements io.Reader.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	return n, err
}

// countedWriter notes what is answered.
type countedWriter struct {
	http.ResponseWriter
	start     time.Time
	firstByte time.Duration
	status    int // 0: not written yet
	bytes     int64
}

// WriteHeader implements http.ResponseWriter.
func (w *countedWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK { // 100 Continue is no answer yet
		w.status, w.firstByte = status, time.Since(w.start)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *countedWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status, w.firstByte = http.StatusOK, time.Since(w.start)
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *countedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
