// Package control lets other processes manage an embedded engine while a
// gateway serves from it.
//
// One process at a time can open the embedded engine. While 'pithos serve' has
// it open, 'pithos key', 'pithos backup' and 'pithos jobs' send their requests
// to a Unix socket in the data directory. The socket is in a directory with mode
// 0700: a user that can reach it can read the data too.
//
//	GET    /keys        list the stored access keys
//	POST   /keys        create a key; the answer has its secret
//	DELETE /keys/{id}   revoke a key
//	GET    /holds       list the holds of backups
//	POST   /holds       add a hold
//	PUT    /holds/{id}  renew a hold
//	DELETE /holds/{id}  end a hold
//	GET    /jobs        list the background jobs
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/internal/jobs"
	"github.com/pithos/pithos/internal/keyadmin"
	"github.com/pithos/pithos/store"
)

const (
	socketDir  = "control"
	socketName = "pithos.sock"

	// requestTimeout bounds a request of a client.
	requestTimeout = 30 * time.Second
	// maxRequest and maxAnswer bound documents, in bytes.
	maxRequest = 64 << 10
	maxAnswer  = 64 << 20
)

func socketPath(cfg *config.Config) string {
	return filepath.Join(cfg.Embedded.Directory, socketDir, socketName)
}

// Services are what a server offers at the socket.
type Services struct {
	// Keys returns the keys to manage; the configured ones may have changed
	// since the last request.
	Keys  func() keyadmin.Keyring
	Holds Holds
	Jobs  jobs.Lister
}

// rpcErrors are the errors that keep their identity between processes, by the
// names they have in an [rpcError].
var rpcErrors = map[string]error{
	"exists": keyadmin.ErrKeyExists, "missing": keyadmin.ErrNoSuchKey, "configured": keyadmin.ErrConfiguredKey,
	"invalid": keyadmin.ErrInvalidKey, "no-master-key": crypt.ErrNoMasterKey, "no-hold": store.ErrNoHold,
}

// rpcError is an error in an answer.
type rpcError struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// Serve answers requests at the socket of an embedded engine until stop is
// called. The engine must be open: its lock proves that no other process uses a
// socket that is left from a crash.
func Serve(cfg *config.Config, services Services) (stop func() error, err error) {
	path := socketPath(cfg)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	mux := http.NewServeMux()
	handleKeys(mux, services.Keys)
	handleHolds(mux, services.Holds)
	handleJobs(mux, services.Jobs)
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, IdleTimeout: time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := server.Shutdown(ctx)
		if err != nil {
			err = server.Close()
		}
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}

// decode reads the document of a request.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	return json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(into)
}

// answer writes value, or err instead of it.
func answer(w http.ResponseWriter, value any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		e := rpcError{Text: err.Error()}
		for kind, is := range rpcErrors {
			if errors.Is(err, is) {
				e.Kind = kind
			}
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		value = e
	}
	_ = json.NewEncoder(w).Encode(value) // the client may have gone
}

// client sends requests to the process that serves from a data directory.
type client struct{ http *http.Client }

// dial returns an error if no process listens at the socket.
func dial(ctx context.Context, cfg *config.Config) (client, error) {
	path := socketPath(cfg)
	connect := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	conn, err := connect(ctx, "", "")
	if err != nil {
		return client{}, fmt.Errorf("the process that has it open does not answer at its control socket: %w", err)
	}
	if err := conn.Close(); err != nil {
		return client{}, err
	}
	return client{&http.Client{Transport: &http.Transport{DialContext: connect, DisableKeepAlives: true}, Timeout: requestTimeout}}, nil
}

func (c client) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://pithos"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("ask the process that serves: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("ask the process that serves: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return json.Unmarshal(text, out)
	}
	e := rpcError{Text: fmt.Sprintf("the process that serves answers %s; it may be of another version", resp.Status)}
	if json.Unmarshal(text, &e) == nil && rpcErrors[e.Kind] != nil {
		return &remoteError{e.Text, rpcErrors[e.Kind]}
	}
	return errors.New(e.Text)
}

// remoteError has the text of the other process and wraps the error it was.
type remoteError struct {
	text string
	is   error
}

// Error implements error.
func (e *remoteError) Error() string { return e.text }

// Unwrap is for errors.Is.
func (e *remoteError) Unwrap() error { return e.is }
