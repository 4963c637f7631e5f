// Package observe counts and traces what an engine does: the calls of its metadata
// store and blob stores, and each statement of Cassandra. It does not change what
// they do.
//
// A span is made only inside another one that is recorded. Calls outside a traced
// request are only counted.
package observe

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/meta"
)

// Scope is the name of the tracer.
const Scope = "github.com/pithos/pithos"

// Observer counts and traces.
type Observer struct{ metrics *metrics.Metrics }

// New returns an observer that counts into m.
func New(m *metrics.Metrics) *Observer { return &Observer{m} }

// Kinds of failures, as metrics and spans name them.
const (
	failureUnavailable = "unavailable"
	failureUnknown     = "unknown_outcome"
	failureCorrupt     = "corrupt"
	failureFull        = "full"
	failureTimeout     = "timeout"
	failureOther       = "other"
)

// answers are errors that answer a question or decide a race. They are no
// failures of the engine.
var answers = []error{
	meta.ErrNotFound, meta.ErrExists, meta.ErrConflict, meta.ErrBucketGone, meta.ErrBucketDeleting,
	meta.ErrUploadClosed, meta.ErrClaimed, blob.ErrNotFound, context.Canceled,
}

// failure is the kind of an engine's failure; "" if nothing failed.
func failure(err error) string {
	if err == nil {
		return ""
	}
	switch {
	case errors.Is(err, meta.ErrUnknownOutcome):
		return failureUnknown
	case errors.Is(err, meta.ErrUnavailable), errors.Is(err, blob.ErrUnavailable):
		return failureUnavailable
	case errors.Is(err, blob.ErrCorrupt):
		return failureCorrupt
	case errors.Is(err, blob.ErrFull):
		return failureFull
	case errors.Is(err, context.DeadlineExceeded):
		return failureTimeout
	}
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return ""
		}
	}
	return failureOther
}

// call makes a call of a store, counts and traces it.
func (o *Observer) call(ctx context.Context, store, name string, do func(context.Context) error) error {
	ctx, end := o.begin(ctx, store, name)
	err := do(ctx)
	end(err)
	return err
}

// begin starts a call that end ends.
func (o *Observer) begin(ctx context.Context, store, name string) (_ context.Context, end func(error)) {
	start := time.Now()
	ctx, span := child(ctx, store+"."+name)
	return ctx, func(err error) {
		kind := failure(err)
		o.metrics.Call(store, name, time.Since(start), kind)
		finish(span, kind)
	}
}

// child starts a span inside that of ctx, if that is recorded. Otherwise it
// returns ctx and nil.
func child(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, nil
	}
	return parent.TracerProvider().Tracer(Scope).Start(ctx, name, o...)
}

func finish(span trace.Span, failure string, o ...trace.SpanEndOption) {
	if span == nil {
		return
	}
	if failure != "" {
		span.SetStatus(codes.Error, failure)
		span.SetAttributes(attribute.String("error.type", failure))
	}
	span.End(o...)
}

// result makes a call that returns a value.
func result[T any](ctx context.Context, o *Observer, store, name string, do func(context.Context) (T, error)) (T, error) {
	var v T
	err := o.call(ctx, store, name, func(ctx context.Context) (err error) {
		v, err = do(ctx)
		return err
	})
	return v, err
}
