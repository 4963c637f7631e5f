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
// HTTP/2: each has a goroutine and its headers. SDKs that use it open more
// connections for more requests.
const streamsPerConnection = 64

// newHTTPServer gives net/http the limits of the configuration. Bodies have
// no limit in time but that they must not stand still: see package edge.
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

// httpLog takes what net/http has to say: mostly clients that misbehave.
type httpLog struct{ log *zap.Logger }

// Write implements io.Writer.
func (h httpLog) Write(line []byte) (int, error) {
	h.log.Check(zapcore.WarnLevel, string(line[:len(line)-1])).Write()
	return len(line), nil
}
