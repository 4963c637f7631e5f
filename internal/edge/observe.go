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

	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/s3api"
)

// observe serves a request by h. It counts the request, makes a span of it and
// writes its line of the access log.
func (s *Server) observe(w http.ResponseWriter, r *http.Request, h http.Handler) {
	start := time.Now()
	end := s.metrics.Begin()
	answer, info := s3api.Record(w), &s3api.RequestInfo{}
	ctx := s3api.WithRequestInfo(r.Context(), info)
	client, malformed := s.proxies.client(r)
	if client.Proxy != "" {
		ctx = s3api.WithClient(ctx, client)
	}
	ctx, span := s.startSpan(ctx, r.WithContext(ctx))
	if span := span.SpanContext(); span.IsValid() {
		info.Trace = span.TraceID().String()
	}
	observed := r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		observed.Body = &countedBody{ReadCloser: r.Body, info: info}
	}
	defer func() { // also if the handler cuts the connection by a panic
		took := time.Since(start)
		end(metrics.Request{
			Operation: info.Operation, Bucket: info.Bucket, AccessKey: info.AccessKey, Status: answer.Status(), Code: info.Code,
			UnknownHeaders: info.UnknownHeaders, Refused: info.Refused, In: info.Received, Out: answer.Bytes(), Took: took, FirstByte: answer.FirstByte(),
		})
		endSpan(span, info, answer)
		s3api.LogAccess(s.log, observed, info, answer, took)
	}()
	if malformed != nil {
		refuse(answer, observed, s3err.Newf(s3err.InvalidRequest, "%v", malformed))
	} else {
		h.ServeHTTP(answer, observed)
	}
	if answer.Bytes() > 0 {
		flushStream(answer, r)
	}
}

// requestInfo is the info of a request; one that is dropped if it has none.
func requestInfo(ctx context.Context) *s3api.RequestInfo {
	if info := s3api.RequestInfoOf(ctx); info != nil {
		return info
	}
	return &s3api.RequestInfo{}
}

// shownMethod is a method for traces. Clients may invent one of 60 KB.
func shownMethod(r *http.Request) string { return r.Method[:min(len(r.Method), 32)] }

// startSpan starts the span of a request, within the trace that the header
// traceparent names (W3C Trace Context), if any.
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

// endSpan names the span by the operation. It has neither keys of objects nor
// queries.
func endSpan(span trace.Span, info *s3api.RequestInfo, answer *s3api.Response) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	if info.Operation != "" {
		span.SetName(info.Operation)
	}
	span.SetAttributes(
		attribute.String("rpc.method", info.Operation), attribute.String("aws.s3.bucket", info.Bucket),
		attribute.String("aws.request_id", info.ID), attribute.Int("http.response.status_code", answer.Status()),
		attribute.Int64("http.request.body.size", info.Received), attribute.Int64("http.response.body.size", answer.Bytes()))
	if info.Code != "" {
		span.SetAttributes(attribute.String("error.type", info.Code))
	}
	if answer.Status() >= http.StatusInternalServerError || answer.Status() == 0 {
		span.SetStatus(codes.Error, info.Code)
	}
}

// countedBody counts the bytes of a request's body.
type countedBody struct {
	io.ReadCloser
	info *s3api.RequestInfo
}

// Read implements io.Reader.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.info.Received += int64(n)
	return n, err
}
