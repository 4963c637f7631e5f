// Package tracing sends traces to a collector of OpenTelemetry.
package tracing

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
)

// closeTimeout bounds the sending of what is left at the end.
const closeTimeout = 5 * time.Second

// Open returns where requests' spans go, by the configuration and the
// environment of OpenTelemetry: nowhere, unless an endpoint is named. The
// collector need not be there: what cannot be sent is dropped, and said to be
// in the log. end sends what is left.
func Open(ctx context.Context, cfg config.Tracing, version string, getenv func(string) string, log *zap.Logger) (_ trace.TracerProvider, end func() error, _ error) {
	nothing := func() error { return nil }
	named := cmp.Or(cfg.Endpoint, getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	if named == "" || getenv("OTEL_SDK_DISABLED") == "true" {
		return noop.NewTracerProvider(), nothing, nil
	}
	var o []otlptracehttp.Option
	if cfg.Endpoint != "" {
		o = append(o, otlptracehttp.WithEndpointURL(cfg.Endpoint))
	}
	exporter, err := otlptracehttp.New(ctx, o...)
	if err != nil {
		return nil, nothing, fmt.Errorf("tracing: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces were not sent", zap.Error(err)) }))
	p, err := provider(ctx, cfg, version, getenv, sdk.WithBatcher(exporter))
	if err != nil {
		return nil, nothing, err
	}
	return p, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		return p.Shutdown(ctx)
	}, nil
}

// provider makes spans, by the sampling of the configuration unless the
// environment asks for another.
func provider(ctx context.Context, cfg config.Tracing, version string, getenv func(string) string, o ...sdk.TracerProviderOption) (*sdk.TracerProvider, error) {
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "pithos"), attribute.String("service.version", version)),
		resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("tracing: describe this process: %w", err)
	}
	o = append(o, sdk.WithResource(about))
	if getenv("OTEL_TRACES_SAMPLER") == "" {
		o = append(o, sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(1/float64(max(1, cfg.SampleEvery))))))
	}
	return sdk.NewTracerProvider(o...), nil
}
