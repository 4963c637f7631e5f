package main

import (
	"crypto/tls"
	"log"
	"math"
	"net/http"
	"os"
	"runtime/debug"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pithos/pithos/config"
)

// newHTTPServer gives net/http the limits of the configuration. Bodies have
// no limit in time but that they must not stand still: see package gateway.
func newHTTPServer(cfg config.Service, h http.Handler, t *tls.Config, logger *zap.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		TLSConfig:         t,
		ReadHeaderTimeout: cfg.HeaderTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    int(cfg.MaxHeader),
		ErrorLog:          log.New(httpLog{logger.Named("http")}, "", 0),
	}
}

// httpLog takes what net/http has to say: mostly clients that misbehave.
type httpLog struct{ log *zap.Logger }

// Write implements io.Writer.
func (h httpLog) Write(line []byte) (int, error) {
	h.log.Check(zapcore.WarnLevel, string(line[:len(line)-1])).Write()
	return len(line), nil
}

// ownMemory is what the process takes beside the bodies of requests, in bytes.
const ownMemory = 160 << 20

// limitMemory sets a soft limit to the Go heap, unless the environment has its
// own: one stream of any size runs far below it, and above it the collector of
// the runtime works harder rather than the process grow.
func limitMemory(bodies config.Size, log *zap.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" || debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	limit := ownMemory + int64(bodies)
	debug.SetMemoryLimit(limit)
	log.Debug("soft limit of memory; GOMEMLIMIT sets another", zap.Int64("bytes", limit))
}
