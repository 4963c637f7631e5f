package edge

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/internal/httpconn"
	"github.com/pithos/pithos/internal/keyadmin"
	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/internal/observe"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/s3api"
	"github.com/pithos/pithos/store"
)

const (
	// queueWait is how long a request beyond service.max-requests or
	// service.max-memory waits. It is shorter than clients wait that send
	// Expect: 100-continue, mostly a second.
	queueWait = 500 * time.Millisecond
	// retryAfter is the Retry-After of answers while the engine is not open.
	retryAfter = 5 * time.Second
	// pingTimeout bounds the answer of /-/ready.
	pingTimeout = 3 * time.Second
	// answerTimeout is the time for a short answer of the gateway itself, from
	// the arrival of the request until the client has read it.
	answerTimeout = 10 * time.Second
	// requestsPerSlot is how many requests there may be for each of
	// service.max-requests: those that are served, as many that wait for a
	// slot, and as many that are refused or ask for the health.
	requestsPerSlot = 3
	// leastClients is the least service.max-requests that the bounds of
	// connections, and of requests without a slot, are computed with: even if
	// few requests are served at a time, many clients must be told to slow down,
	// and keep their connections.
	leastClients = 256
)

// Server answers HTTP requests, with or without a backend.
type Server struct {
	cfg     *config.Config
	log     *zap.Logger
	now     func() time.Time
	handler http.Handler
	// admission is the first of handler's.
	admission *admission
	// requests counts all requests from the first to the last instruction of
	// ServeHTTP, also those without a slot. No request waits for it.
	requests    *pool
	connections *Connections
	proxies     proxies
	metrics     *metrics.Metrics
	tracer      trace.Tracer

	api   atomic.Pointer[http.Handler]
	store atomic.Pointer[store.Store]
	// draining: the server is stopping; ready says so to load balancers.
	draining atomic.Bool
	running  sync.WaitGroup
	ping     *pinger
}

var _ http.Handler = (*Server)(nil)

// NewServer returns a server without a backend. now is the clock for the times of
// signatures; nil is time.Now.
func NewServer(cfg *config.Config, log *zap.Logger, now func() time.Time) *Server {
	s := &Server{
		cfg: cfg, log: log, now: now, tracer: noop.NewTracerProvider().Tracer(observe.Scope),
		metrics: metrics.New(metrics.Options{Buckets: cfg.Metrics.Buckets, AccessKeys: cfg.Metrics.AccessKeys}),
		ping:    newPinger(),
	}
	var err error
	if s.proxies, err = newProxies(&cfg.Service); err != nil {
		log.Error("service.trusted-proxies: no proxy is trusted", zap.Error(err)) // config checks it
		s.proxies = proxies{}
	}
	guarded := stallGuard(cfg.Service.StallTimeout, int64(cfg.Service.MaxBody), http.HandlerFunc(s.gate))
	a := newAdmission(cfg.Service.MaxRequests, bodyMemory(cfg), streamBytes(cfg), queueWait, guarded)
	a.shareOf = s.proxies.share
	s.handler, s.admission = a, a
	clients := max(cfg.Service.MaxRequests, leastClients)
	s.requests = newPool(requestsPerSlot*int64(clients), 0)
	s.connections = newConnections(clients, s.proxies)
	s.registerGauges(a)
	return s
}

// Observer counts and traces the calls of the engine that the server uses. An
// engine is opened with it in production, in tests and in benchmarks, so that
// what is measured is what serves.
func (s *Server) Observer() *observe.Observer { return observe.New(s.metrics) }

// Backend is what a server answers from, once it is open.
type Backend struct {
	Store *store.Store
	Keys  s3api.Keys
	// Ring are the master keys, which encryption.keys has rules for.
	Ring *crypt.Ring
}

// Use makes the server answer from a backend.
func (s *Server) Use(b Backend) error {
	o := s.cfg.Options
	mayUse, err := keyadmin.MayUseMasterKey(b.Ring, s.cfg.Encryption.Keys)
	if err != nil {
		return err
	}
	api, err := s3api.New(s3api.Options{
		Store: b.Store, Keys: b.Keys, Log: s.log, ServiceURIs: o.ServiceURI,
		Region: o.DefaultRegion, Regions: slices.Sorted(maps.Keys(s.cfg.Regions)), EnforceRegion: o.EnforceRegion, DisableV2: !o.SignatureV2, MaxSkew: o.ClockSkew,
		AllowInsecureSSEC: s.cfg.Encryption.SSECOverPlainHTTP == "allow", Now: s.now,
		MayUseKey: mayUse, Admit: s.admission.admit,
	})
	if err != nil {
		return err
	}
	var h http.Handler = api
	s.store.Store(b.Store)
	s.api.Store(&h)
	return nil
}

// Drain makes /-/ready say that no more requests should come, and closes each
// connection after its request: clients open new ones, at other gateways, and
// none sends a request on a connection that is being closed.
func (s *Server) Drain() { s.draining.Store(true) }

// ServeHTTP implements http.Handler.
//
// No answer may wait for its client without a time limit: a client of HTTP/2 may
// grant no window, a client of HTTP/1 may not read. So the write deadline is set
// first, for every answer; stallGuard replaces it for longer ones. The number of
// requests that may wait within that time is bounded by requestsPerSlot and
// shared among clients. A request beyond that gets no answer, since that could
// wait too: its connection or stream is closed.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	headRead(r.Context())
	from := s.proxies.share(r)
	if !s.requests.take(r.Context(), 1, 0, from) {
		panic(http.ErrAbortHandler)
	}
	defer s.requests.give(1, from)
	// A writer without deadlines has no connection.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	r, refusal := httpconn.Request(r)
	if refusal != nil {
		s.refused(w, r, refusal)
		return
	}
	if headerLines(r.Header) > maxHeaderLines {
		s.observe(w, r, http.HandlerFunc(headerTooLarge))
		return
	}
	if strings.HasPrefix(r.URL.Path, "/-/") && !s.namesBucket(r.Host) {
		s.health(w, r)
		flushStream(w, r)
		return
	}
	s.running.Add(1)
	defer s.running.Done()
	if s.draining.Load() {
		w.Header().Set("Connection", "close") // GOAWAY, in HTTP/2
	}
	s.observe(w, r, s.handler)
}

// flushStream waits until the client of HTTP/2 has read its answer. net/http would
// do so after ServeHTTP, when the request is no longer counted but still has its
// memory. HTTP/1 does not need it: there a connection has one request.
func flushStream(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor > 1 {
		_ = http.NewResponseController(w).Flush() // a client that is gone needs no answer
	}
}

// Metrics returns the metrics of the server and of its backend.
func (s *Server) Metrics() *metrics.Metrics { return s.metrics }

// Trace makes p trace the requests. It is called before the first request.
func (s *Server) Trace(p trace.TracerProvider) { s.tracer = p.Tracer(observe.Scope) }

// Wait returns when no request runs any more, or when ctx ends. No request may
// start after the call.
func (s *Server) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.running.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// namesBucket reports whether host is bucket.service-uri. Then the whole path is
// a key, even if it begins with "-/".
func (s *Server) namesBucket(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, uri := range s.cfg.Options.ServiceURI {
		if strings.HasSuffix(host, "."+uri) {
			return true
		}
	}
	return false
}

// gate passes requests to s3api once there is a backend.
func (s *Server) gate(w http.ResponseWriter, r *http.Request) {
	api := s.api.Load()
	if api == nil {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		refuse(w, r, s3err.Newf(s3err.ServiceUnavailable, "The database of this gateway does not answer yet. Please try again."))
		return
	}
	(*api).ServeHTTP(w, r)
}

// health answers /-/live (the process runs) and /-/ready (the engine answers).
// No bucket can have that address: names begin with a letter or digit.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	case r.URL.Path == "/-/live":
		writeStatus(w, http.StatusOK, "live")
	case r.URL.Path == "/-/ready":
		status, text := s.ready(r.Context())
		writeStatus(w, status, text)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) ready(ctx context.Context) (int, string) {
	backend := s.store.Load()
	switch {
	case s.draining.Load():
		return http.StatusServiceUnavailable, "stopping"
	case backend == nil:
		return http.StatusServiceUnavailable, "waiting for the engine"
	}
	err := s.ping.do(ctx, func(ctx context.Context) error {
		err := backend.Ping(ctx)
		if err != nil {
			s.log.Warn("not ready", zap.Error(err))
		}
		return err
	})
	if err != nil {
		return http.StatusServiceUnavailable, "the engine does not answer"
	}
	return http.StatusOK, "ready"
}

func writeStatus(w http.ResponseWriter, code int, status string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": status}) // the client may have gone
}
