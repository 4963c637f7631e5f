package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pithos/pithos/config"
)

// logs is the logger with what is needed to change and to end it.
type logs struct {
	*zap.Logger
	// Level may be set while the logger is in use.
	Level zap.AtomicLevel
	files []*logFile
}

// logFile is a file that lines are appended to. It may be reopened while
// it is in use: after something has renamed it, as logrotate does.
type logFile struct {
	path string
	mu   sync.Mutex
	f    *os.File
}

func openLogFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("logging.files: %w", err)
	}
	return f, nil
}

// Write implements io.Writer.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(line)
}

// Sync implements zapcore.WriteSyncer.
func (l *logFile) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Sync()
}

// Close closes the file.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}

// reopen continues in the file that has the path now. If it cannot be opened,
// lines still go to the old one.
func (l *logFile) reopen() error {
	now, err := openLogFile(l.path)
	if err != nil {
		return err
	}
	l.mu.Lock()
	old := l.f
	l.f = now
	l.mu.Unlock()
	return old.Close()
}

// reopen reopens all log files, for logrotate.
func (l *logs) reopen() error {
	var errs []error
	for _, f := range l.files {
		errs = append(errs, f.reopen())
	}
	return errors.Join(errs...)
}

// newLogs returns the logger that the configuration describes. The console is
// stderr. The caller closes it.
func newLogs(cfg config.Logging, stderr io.Writer) (*logs, error) {
	l := &logs{Level: zap.NewAtomicLevelAt(levelOf(cfg.Level))}
	var cores []zapcore.Core
	if cfg.Console {
		cores = append(cores, zapcore.NewCore(encoder(cfg.JSON), zapcore.Lock(zapcore.AddSync(stderr)), l.Level))
	}
	for _, f := range cfg.Files {
		file, err := openLogFile(f.Path)
		if err != nil {
			return nil, errors.Join(withCode(exitConfig, err), l.Close())
		}
		l.files = append(l.files, &logFile{path: f.Path, f: file})
		cores = append(cores, zapcore.NewCore(encoder(f.JSON), l.files[len(l.files)-1], l.Level))
	}
	l.Logger = zap.New(zapcore.NewTee(cores...))
	return l, nil
}

// Close ends the logger and closes its files.
func (l *logs) Close() error {
	var errs []error
	for _, file := range l.files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// levelOf maps the configuration's words, which config has checked.
func levelOf(name string) zapcore.Level {
	switch name {
	case "debug", "trace", "all":
		return zapcore.DebugLevel
	case "warn":
		return zapcore.WarnLevel
	case "error":
		return zapcore.ErrorLevel
	case "fatal":
		return zapcore.FatalLevel
	case "off":
		return zapcore.FatalLevel + 1
	}
	return zapcore.InfoLevel
}

// encoder lays out log lines: JSON for machines, else columns for people.
// Times are UTC in either, so that lines of several machines can be compared.
func encoder(asJSON bool) zapcore.Encoder {
	cfg := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "logger", MessageKey: "msg",
		EncodeTime:     utcTime,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeName:     zapcore.FullNameEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
	}
	if asJSON {
		return zapcore.NewJSONEncoder(cfg)
	}
	cfg.EncodeLevel = zapcore.CapitalLevelEncoder
	cfg.ConsoleSeparator = "  "
	return zapcore.NewConsoleEncoder(cfg)
}

func utcTime(t time.Time, out zapcore.PrimitiveArrayEncoder) {
	out.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// logConfig warns of what may be wrong with the configuration: keys without
// effect, published access keys that other hosts can use, certificates that are
// not verified.
func logConfig(log *zap.Logger, cfg *config.Config) {
	for _, warning := range cfg.Warnings {
		log.Warn("configuration", zap.String("note", warning))
	}
	if cfg.Source != "" {
		log.Info("configuration read", zap.String("file", cfg.Source))
	}
	if keys := cfg.ExampleKeys(); len(keys) > 0 && cfg.ListensBeyondLoopback() {
		log.Warn("these access keys are published in documentation, and other hosts can reach this address; replace them",
			zap.String("keys", strings.Join(keys, ", ")), zap.String("listen", cfg.ListenAddress()))
	}
	for _, path := range cfg.UnverifiedTLS() {
		log.Warn("Cassandra's certificates are not verified; an attacker on the network can read and change all data", zap.String("key", path))
	}
}

// setLevel changes what is logged from now on.
func (l *logs) setLevel(cfg config.Logging) {
	l.Level.SetLevel(levelOf(cfg.Level))
	l.Info("the log level was changed", zap.String("level", cfg.Level))
}
