package s3api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
)

// RequestInfo describes a request for the access log, for metrics and traces, and
// for the limits that the gateway enforces. It holds neither secrets nor
// signatures.
//
// The edge of the gateway puts one into the context of each request
// ([WithRequestInfo]) and writes the line of the access log ([LogAccess]).
// Without an edge, API does both.
type RequestInfo struct {
	// Answered says that API has answered and filled in the rest. Otherwise the
	// edge has answered.
	Answered bool
	// ID is what the client was shown as x-amz-request-id.
	ID string
	// Operation is a name of the operation table; "" if no row matches.
	Operation string
	// Bucket is a bucket that exists; AccessKey a key whose signature was
	// right. Both are "" otherwise.
	Bucket, AccessKey string
	// Code is the code of the error that was answered; "" for success.
	Code string
	// Refused says that the edge has refused the request, with Code.
	Refused bool
	// EngineFailed says that the engine could not be reached or is overloaded,
	// so that fewer requests should be sent to it. A full disk, or an upload to
	// repeat, is not such a failure.
	EngineFailed bool
	// UnknownHeaders are the names of x-amz-* headers that were ignored because
	// Pithos does not know them. If the request has no valid signature, each name
	// is "", since its sender could invent any number of names.
	UnknownHeaders []string
	// Received counts the bytes of the body. The edge counts.
	Received int64
	// Trace is the id of the trace that the edge has made; "" without one.
	Trace string

	bucketName, key, tenant string // as named by the request, for the log
	received                int64  // when API had answered
	took                    time.Duration
}

type requestInfoKey struct{}

// WithRequestInfo returns a context whose request is described by info. The
// caller writes the access log.
func WithRequestInfo(ctx context.Context, info *RequestInfo) context.Context {
	return context.WithValue(ctx, requestInfoKey{}, info)
}

// RequestInfoOf returns the info of a request; nil if the context has none.
func RequestInfoOf(ctx context.Context) *RequestInfo {
	info, _ := ctx.Value(requestInfoKey{}).(*RequestInfo)
	return info
}

// fill records the result of a request that API has answered.
func (info *RequestInfo) fill(r *Request, err error, took time.Duration) {
	info.Answered, info.ID, info.Operation, info.AccessKey = true, r.ID, r.opName(), r.Caller.AccessKey
	info.bucketName, info.key, info.tenant = r.BucketName, r.Key, r.Caller.Tenant
	info.received, info.took = info.Received, took
	for _, name := range r.unknownHeaders {
		if r.Caller.Anonymous() {
			name = ""
		}
		info.UnknownHeaders = append(info.UnknownHeaders, strings.ToLower(name))
	}
	if err != nil && !info.Refused {
		if e := toError(err); !hungUp(r, e) {
			info.Code, info.EngineFailed = string(e.Code), engineFailed(e)
		}
	}
	if r.Bucket != nil || err == nil {
		info.Bucket = r.BucketName
	}
}

// LogAccess writes the line of a request in the access log. The line has neither
// query nor headers, because they hold signatures and customer keys. took is the
// duration of a request that API has not answered.
func LogAccess(log *zap.Logger, r *http.Request, info *RequestInfo, answer *Response, took time.Duration) {
	if !info.Answered {
		fields := []zap.Field{
			zap.String("op", ""), zap.String("method", clip(r.Method, maxShownMethod)), zap.Int("status", answer.status),
			zap.Duration("duration", took), zap.Int64("bytes", answer.bytes), zap.Int64("received", info.Received),
			zap.String("code", info.Code),
		}
		log.Info("request", append(fields, clientFields(r)...)...)
		return
	}
	fields := []zap.Field{
		zap.String("op", info.Operation), zap.String("method", clip(r.Method, maxShown)), zap.String("bucket", clip(info.bucketName, maxShown)),
		zap.String("key", clip(info.key, maxShown)), zap.Int("status", answer.status), zap.Duration("duration", info.took),
		zap.Int64("bytes", answer.bytes), zap.String("request", info.ID),
		zap.String("accesskey", info.AccessKey), zap.String("tenant", info.tenant),
	}
	fields = append(fields, clientFields(r)...)
	if info.Code != "" {
		fields = append(fields, zap.String("code", info.Code))
	}
	fields = append(fields, zap.Int64("received", info.received))
	if info.Trace != "" {
		fields = append(fields, zap.String("trace", info.Trace))
	}
	log.Info("request", fields...)
}

// maxShownMethod bounds the method of a request that is refused early, in bytes.
const maxShownMethod = 32

// clientFields are the log fields that identify the client of a request.
func clientFields(r *http.Request) []zap.Field {
	if c := ClientOf(r); c.Proxy != "" {
		return []zap.Field{zap.String("remote", c.Address.String()), zap.String("proxy", c.Proxy)}
	}
	return []zap.Field{zap.String("remote", r.RemoteAddr)}
}
