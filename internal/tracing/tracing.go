// Package tracing sends traces to an OpenTelemetry collector.
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

// closeTimeout bounds the sending of the remaining spans at the end.
const closeTimeout = 5 * time.Second

// Open returns the provider of requests' spans, by the configuration and the
// environment variables of OpenTelemetry; it records none unless an endpoint is set.
// The collector need not be reachable: spans that cannot be sent are dropped and
// logged. end sends the remaining spans.
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

// provider returns the provider of spans, with the sampling of the environment or,
// if it names none, of the configuration.
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
