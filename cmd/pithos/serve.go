package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/control"
	"github.com/pithos/pithos/internal/edge"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/internal/jobs"
	"github.com/pithos/pithos/internal/keyadmin"
	"github.com/pithos/pithos/internal/tracing"
)

const serveHelp = `Serve answers S3 requests until it is told to stop (SIGTERM, SIGINT); then it
lets running requests finish, for service.shutdown-timeout at most.

Without configuration it listens on 127.0.0.1:8080 and keeps everything in
./pithos-data. At the first start it makes an access key, keeps it in that
directory (credentials, mode 0600) and prints it once, with settings to paste
for the aws CLI, s3cmd and boto3. If the output goes to the journal of systemd,
the secret is only in the file.

On Cassandra any number of gateways may run; the database is their only shared
state. Run 'pithos bootstrap' first. While Cassandra does not answer, requests
are answered 503 with Retry-After; the gateway retries until it answers.

  GET /-/live    200 while the process runs
  GET /-/ready   200 while requests can be served, else 503

SIGHUP reads the configuration again: access keys, certificate, oldest version
of TLS and log level change without a restart. So they do when the files
change. Other changes need a restart and are named in the log. A
configuration with a mistake is refused, and the old one stays in effect. Log
files are reopened, for logrotate.

With admin.listen a second port has metrics for Prometheus (/metrics),
profiles (/debug/pprof/) and the log level (/-/level).`

const serveExample = `  pithos serve
  PITHOS_LISTEN=0.0.0.0:9000 PITHOS_DATA=/srv/pithos PITHOS_BUCKETS=demo pithos serve
  pithos serve -f /etc/pithos/pithos.yaml`

func newServeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "serve",
		Short:   "Serve S3 requests",
		Long:    serveHelp,
		Example: serveExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			log, err := newLogs(cfg.Logging, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			memory := currentBudget(cfg.Service.MaxMemory)
			limitMemory(memory, log.Logger)
			cfg.Service.MaxMemory = config.Size(memory.bodies)
			logConfig(log.Logger, &cfg)
			s := &serving{cmd: cmd, cfg: &cfg, log: log.Logger, logs: log, failed: make(chan error, 1)}
			return errors.Join(s.run(cmd.Context()), log.Close())
		},
	}
}

// serving is one run of 'pithos serve'.
type serving struct {
	cmd     *cobra.Command
	cfg     *config.Config
	log     *zap.Logger
	logs    *logs
	gateway *edge.Server
	http    *http.Server
	admin   *adminPort // nil where there is none
	reload  *reloader
	// endTraces sends the remaining traces.
	endTraces func() error
	// endControl closes the control socket.
	endControl func()
	endpoint   string
	// failed gets the error that ends the listener, if any.
	failed chan error
}

// run listens before it opens the engine, so that clients get an answer while it
// waits for the database.
func (s *serving) run(ctx context.Context) error {
	if err := s.listen(); err != nil {
		return err
	}
	defer s.admin.close()
	defer s.flushTraces()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s.reload.watch(ctx, s.cfg.Service.ReloadInterval)
	go func() {
		select {
		case err := <-s.failed:
			stop(err)
		case <-ctx.Done():
		}
	}()
	e, err := s.open(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
		if stopped(ctx) {
			return cause(ctx) // told to stop before there was anything to serve
		}
		return err
	}
	stopJobs := e.StartJobs(s.gateway.Metrics(), s.log)
	<-ctx.Done()
	s.endControl()
	err = errors.Join(cause(ctx), s.drain())
	stopJobs()
	return errors.Join(err, s.close(e))
}

func (s *serving) flushTraces() {
	if err := s.endTraces(); err != nil {
		s.log.Warn("sending the last traces failed", zap.Error(err))
	}
}

func stopped(ctx context.Context) bool { return ctx.Err() != nil }

// cause returns why ctx ended; nil after a signal, which is the normal way.
func cause(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// listen opens the ports and starts to answer.
func (s *serving) listen() error {
	tlsConfig, certificate, err := serverTLS(s.cfg.Service.TLS)
	if err != nil {
		return withCode(exitConfig, err)
	}
	listener, admin, err := activated(os.Getenv)
	if err != nil {
		return err
	}
	if address := s.cfg.ListenAddress(); listener == nil {
		if listener, err = net.Listen("tcp", address); err != nil {
			return fmt.Errorf("listen on %s: %w", address, err)
		}
	}
	if s.endpoint, err = endpointURL(listener.Addr().String(), tlsConfig != nil); err != nil {
		return errors.Join(err, listener.Close())
	}
	s.gateway = edge.NewServer(s.cfg, s.log, nil)
	traces, endTraces, err := tracing.Open(context.Background(), s.cfg.Tracing, currentBuild().Version, os.Getenv, s.log.Named("tracing"))
	if err != nil {
		return errors.Join(withCode(exitConfig, err), listener.Close())
	}
	s.gateway.Trace(traces)
	s.endTraces = endTraces
	s.gateway.Metrics().Build(currentBuild().Version, currentBuild().Commit)
	s.reload = &reloader{
		load: s.reread, level: s.logs.setLevel, reopen: s.logs.reopen,
		log: s.log, metrics: s.gateway.Metrics(), certificate: certificate, cfg: *s.cfg,
	}
	if err := s.openAdminPort(admin); err != nil {
		return errors.Join(err, listener.Close())
	}
	s.http = newHTTPServer(s.cfg.Service, s.gateway, s.log)
	go s.serve(s.gateway.Listen(s.http, listener, tlsConfig))
	s.log.Info("pithos listens", zap.String("address", s.endpoint),
		zap.String("engine", string(s.cfg.Engine())), zap.String("version", currentBuild().Version))
	systemd("READY=1\nSTATUS=waiting for the engine")
	return nil
}

// reread reads the configuration again, in the way of the start.
func (s *serving) reread() (config.Config, error) {
	cfg, err := loadConfig(s.cmd)
	cfg.Service.MaxMemory = config.Size(currentBudget(cfg.Service.MaxMemory).bodies)
	return cfg, err
}

// serve answers until the server is closed. Over TLS it also speaks HTTP/2.
func (s *serving) serve(listener net.Listener) {
	if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		s.failed <- fmt.Errorf("the listener failed: %w", err)
	}
}

// open waits for the engine and serves from it.
func (s *serving) open(ctx context.Context) (*engine.Engine, error) {
	e, err := engine.Await(ctx, s.cfg, engine.OpenOptions{Log: s.log, Observe: s.gateway.Observer(), Reserve: edge.Reserve})
	if err != nil {
		return nil, engineError(err)
	}
	if err := s.gateway.Use(edge.Backend{Store: e.Store, Keys: e.Keys, Ring: e.Ring}); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	warnOfReaders(s.log, s.cfg)
	s.reload.opened(e)
	s.endControl = s.control(e)
	systemd("STATUS=serving")
	s.log.Info("pithos serves", zap.String("address", s.endpoint), zap.String("region", e.Store.Region()))
	return e, s.announce(e)
}

// announce logs the first access key. It prints the secret only if the key was
// generated just now.
func (s *serving) announce(e *engine.Engine) error {
	key := e.FirstKey
	if key == nil {
		return nil
	}
	s.log.Info("no access key is configured; using the first one in the data directory",
		zap.String("access key", key.ID), zap.String("file", key.Path))
	if !key.Created {
		return nil
	}
	if inJournal(s.cmd.OutOrStdout(), os.Getenv("JOURNAL_STREAM")) {
		s.log.Info("the secret is only in that file, since systemd keeps in its journal what is printed here")
		return nil
	}
	settings := clientSettings{Endpoint: s.endpoint, Region: e.Store.Region(), AccessKey: key.ID, Secret: key.Secret}
	if err := settings.print(s.cmd.OutOrStdout()); err != nil {
		s.log.Warn("printing the settings for clients failed", zap.Error(err))
	}
	return nil
}

// control opens the control socket of an embedded engine. An error does not keep
// the gateway from serving.
func (s *serving) control(e *engine.Engine) (end func()) {
	if e.Kind != config.EmbeddedEngine {
		return func() {}
	}
	stop, err := control.Serve(s.cfg, control.Services{
		Keys: func() keyadmin.Keyring { return s.reload.admin(e) }, Holds: control.LocalHolds(e.Meta), Jobs: jobs.Stored{Leases: e.Meta},
	})
	if err != nil {
		s.log.Warn("opening the control socket failed; 'pithos key', 'pithos backup' and 'pithos jobs' work only while serve is stopped", zap.Error(err))
		return func() {}
	}
	return func() {
		if err := stop(); err != nil {
			s.log.Warn("the control socket failed", zap.Error(err))
		}
	}
}

// drain lets running requests finish, and cuts off those that take too long.
func (s *serving) drain() error {
	timeout := s.cfg.Service.ShutdownTimeout
	s.log.Info("stopping: running requests may finish", zap.Duration("within", timeout))
	s.gateway.Drain()
	systemd("STOPPING=1")
	if delay := s.cfg.Service.DrainDelay; delay > 0 {
		s.log.Info("no longer ready; the port closes later", zap.Duration("after", delay))
		time.Sleep(delay) // a second signal ends the process
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("running requests were cut off after service.shutdown-timeout")
		err = s.http.Close()
	}
	return err
}

// closeTimeout bounds the work that is left when no request runs any more.
const closeTimeout = 10 * time.Second

// close ends the engine. If a request does not end although it was cut off, the
// engine is left as after a crash, from which it recovers.
func (s *serving) close(e *engine.Engine) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := s.gateway.Wait(ctx); err != nil {
		return fmt.Errorf("a request does not end: %w", err)
	}
	if err := e.Flush(ctx); err != nil {
		s.log.Warn("some asynchronous writes were not completed; listings read the affected keys once more", zap.Error(err))
	}
	if err := e.Close(); err != nil {
		return fmt.Errorf("close the engine: %w", err)
	}
	s.log.Info("stopped")
	return nil
}
