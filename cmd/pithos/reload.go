package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/internal/keyadmin"
	"github.com/pithos/pithos/internal/metrics"
)

// reloader applies changes of the configuration to a running server: the
// keys of the keystore, the certificate of the listener and the oldest version
// of TLS, the log level; and it reopens log files. A configuration with any
// mistake changes nothing.
//
// It follows the files of this process, so it is not a job of internal/jobs.
type reloader struct {
	load    func() (config.Config, error)
	level   func(config.Logging)
	reopen  func() error // the log files
	log     *zap.Logger
	metrics *metrics.Metrics

	certificate *certificate // nil without TLS

	mu     sync.Mutex
	cfg    config.Config  // the last one that holds
	engine *engine.Engine // nil until it is open
	seen   [sha256.Size]byte
	// masters is the fingerprint of the file with the master keys that are in use.
	masters [sha256.Size]byte
}

// errNoTLS: the listener cannot change its protocol while it listens.
var errNoTLS = errors.New("service.tls: HTTPS cannot be switched on or off without a restart")

// opened gives the reloader the engine, and gives the engine the access keys of
// reloads that happened before it was open.
func (r *reloader) opened(e *engine.Engine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.engine = e
	e.SetKeys(&r.cfg)
}

// admin manages the engine's stored keys, given those that are configured now.
func (r *reloader) admin(e *engine.Engine) keyadmin.Admin {
	r.mu.Lock()
	defer r.mu.Unlock()
	return e.Admin(&r.cfg)
}

// now reads configuration and certificate again.
func (r *reloader) now() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.reopen(); err != nil { // first, for the lines below
		r.log.Error("reopening a log file failed; its lines still go to the old file", zap.Error(err))
	}
	r.seen = r.fingerprint()
	err := r.apply()
	r.metrics.Reloaded(err)
	if err != nil {
		r.log.Error("reloading the configuration failed; the old one stays in effect", zap.Error(err))
	}
	return err
}

func (r *reloader) apply() error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	if cfg.Service.TLS.Enabled() != r.cfg.Service.TLS.Enabled() {
		return errNoTLS
	}
	if r.certificate != nil {
		if err := r.certificate.load(cfg.Service.TLS); err != nil {
			return err
		}
	}
	if cfg.Logging.Level != r.cfg.Logging.Level { // else it may have been set by hand
		r.level(cfg.Logging)
	}
	if r.engine != nil {
		r.engine.SetKeys(&cfg)
	}
	restart := needRestart(&r.cfg, &cfg)
	if r.masters != r.masterKeys() && !slices.Contains(restart, "encryption.master-key-file") {
		restart = append(restart, "encryption.master-key-file")
	}
	if len(restart) > 0 {
		r.log.Warn("these changes of the configuration need a restart", zap.Strings("keys", restart))
	}
	r.log.Info("configuration reloaded", zap.String("file", cfg.Source), zap.Int("keys", len(cfg.Keystore.Keys)))
	kept := r.cfg
	kept.Keystore.Keys, kept.Logging.Level, kept.Service.TLS = cfg.Keystore.Keys, cfg.Logging.Level, cfg.Service.TLS
	r.cfg = kept
	return nil
}

// needRestart names the sections (and of service and logging, the keys) whose
// changes a reload does not bring in.
func needRestart(old, now *config.Config) []string {
	a, b := *old, *now
	a.Keystore.Keys, a.Logging.Level, a.Service.TLS = b.Keystore.Keys, b.Logging.Level, b.Service.TLS
	a.Source, a.Warnings, a.SecretsInFile = b.Source, b.Warnings, b.SecretsInFile
	return changed("", reflect.ValueOf(a), reflect.ValueOf(b))
}

// changed names the fields with a key that differ, at most two levels down.
func changed(path string, a, b reflect.Value) []string {
	var names []string
	for i := range a.NumField() {
		name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("key"), ",")
		if a.Type().Field(i).Name == "_" || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		switch {
		case path == "" && a.Field(i).Kind() == reflect.Struct:
			names = append(names, changed(name, a.Field(i), b.Field(i))...)
		case path == "" || name == "":
			names = append(names, strings.TrimSuffix(path+name, "."))
		default:
			names = append(names, path+"."+name)
		}
	}
	return names
}

// fingerprint returns the fingerprint of all files that a reload reads. A file
// that cannot be read counts as empty: the reload reports the error.
func (r *reloader) fingerprint() [sha256.Size]byte {
	return fingerprint(r.cfg.Source, r.cfg.Service.TLS.Certificate, r.cfg.Service.TLS.Key, r.cfg.Encryption.MasterKeyFile)
}

// masterKeys returns the fingerprint of the file with the master keys, which are
// read only at the start.
func (r *reloader) masterKeys() [sha256.Size]byte { return fingerprint(r.cfg.Encryption.MasterKeyFile) }

func fingerprint(paths ...string) [sha256.Size]byte {
	h := sha256.New()
	for _, path := range paths {
		if path == "" {
			continue
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %d %t\n", path, len(data), err == nil)
		h.Write(data)
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

// watch reloads at each SIGHUP, and when a file has changed, until ctx ends. It
// checks the files at the interval every; 0 means never.
func (r *reloader) watch(ctx context.Context, every time.Duration) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	r.mu.Lock()
	r.seen, r.masters = r.fingerprint(), r.masterKeys()
	r.mu.Unlock()
	go func() {
		defer signal.Stop(hangup)
		var tick <-chan time.Time
		if every > 0 {
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			tick = ticker.C
		}
		for {
			select {
			case <-hangup:
				systemd("RELOADING=1\n" + monotonic())
				_ = r.now() // logs its error
				systemd("READY=1")
			case <-tick:
				r.reloadIfChanged()
			case <-ctx.Done():
				return
			}
		}
	}()
}

// reloadIfChanged reloads if a file has changed since the last reload.
func (r *reloader) reloadIfChanged() {
	r.mu.Lock()
	same := r.fingerprint() == r.seen
	r.mu.Unlock()
	if !same {
		_ = r.now() // logs its error
	}
}
