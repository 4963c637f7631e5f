package main

import (
	"log"
	"net/http"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/edge"
)

// streamsPerConnection is the most requests that run over one connection of
// HTTP/2: each has a goroutine and headers. SDKs open more connections for more
// requests.
const streamsPerConnection = 64

// newHTTPServer gives net/http the limits of the configuration. Bodies have
// no total time, but a minimum speed: see package edge.
func newHTTPServer(cfg config.Service, g *edge.Server, logger *zap.Logger) *http.Server {
	return &http.Server{
		Handler:           g,
		ReadHeaderTimeout: cfg.HeaderTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    int(cfg.MaxHeader),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: streamsPerConnection},
		ErrorLog:          log.New(httpLog{logger.Named("http")}, "", 0),
	}
}

// httpLog takes the log lines of net/http, which are mostly about bad clients.
type httpLog struct{ log *zap.Logger }

// Write implements io.Writer.
func (h httpLog) Write(line []byte) (int, error) {
	h.log.Check(zapcore.WarnLevel, string(line[:len(line)-1])).Write()
	return len(line), nil
}
