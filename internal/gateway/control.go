package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/store"
)

// The embedded engine belongs to one process. So that its keys and the holds of
// backups can be managed while that one serves, it takes orders at a socket in the data directory,
// below a folder that its user alone may enter: who could read the data
// anyway may give them, and nobody else.
//
//	GET    /keys        all stored keys
//	POST   /keys        makes one, and answers with its secret
//	DELETE /keys/{id}   revokes one
//	GET    /holds       all holds of backups
//	POST   /holds       adds one
//	PUT    /holds/{id}  renews one
//	DELETE /holds/{id}  ends one
const (
	controlDir    = "control"
	controlSocket = "pithos.sock"
)

func controlPath(cfg *config.Config) string {
	return filepath.Join(cfg.Embedded.Directory, controlDir, controlSocket)
}

// Keyring manages stored access keys, in this process or in another one.
type Keyring interface {
	Create(context.Context, NewKey) (NewKey, error)
	List(context.Context) ([]StoredKey, error)
	Revoke(ctx context.Context, id string) error
}

var (
	_ Keyring = KeyAdmin{}
	_ Keyring = remoteKeys{}
)

// keyFaults are the errors of managing keys that travel between processes, by
// the names under which they do.
var keyFaults = map[string]error{
	"exists": ErrKeyExists, "missing": ErrNoSuchKey, "configured": ErrConfiguredKey, "invalid": ErrInvalidKey, "no-master-key": crypt.ErrNoMasterKey,
	"no-hold": store.ErrNoHold,
}

// fault is an error on its way to another process.
type fault struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// order is a key to be made, on its way to another process.
type order struct {
	NewKey
	Secret string `json:"secret_key"`
}

// Control takes orders for the keys and holds of an embedded engine, until the function
// that it returns is called. The engine must be open: its lock says that what
// a crash has left of the socket is nobody's.
func Control(cfg *config.Config, admin func() KeyAdmin, holds Holds) (end func() error, err error) {
	path := controlPath(cfg)
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
	server := &http.Server{Handler: controlHandler(admin, holds), ReadTimeout: 10 * time.Second, IdleTimeout: time.Second}
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

func controlHandler(admin func() KeyAdmin, holds Holds) http.Handler {
	mux := http.NewServeMux()
	controlHolds(mux, holds)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		keys, err := admin().List(r.Context())
		answer(w, keys, err)
	})
	mux.HandleFunc("POST /keys", func(w http.ResponseWriter, r *http.Request) {
		var o order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&o); err != nil {
			answer(w, nil, fmt.Errorf("%w: %w", ErrInvalidKey, err))
			return
		}
		o.NewKey.Secret = config.Secret(o.Secret)
		made, err := admin().Create(r.Context(), o.NewKey)
		answer(w, order{made, made.Secret.Reveal()}, err)
	})
	mux.HandleFunc("DELETE /keys/{id}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, admin().Revoke(r.Context(), r.PathValue("id")))
	})
	return mux
}

// answer writes a value, or the error in its place.
func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		f := fault{Text: err.Error()}
		for kind, is := range keyFaults {
			if errors.Is(err, is) {
				f.Kind = kind
			}
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		v = f
	}
	_ = json.NewEncoder(w).Encode(v) // who asked may be gone
}

// remoteKeys are the keys of the engine that another process has open.
type remoteKeys struct{ remoteControl }

// RemoteKeys returns the keys of the embedded engine that another process
// serves from, or an error if none takes orders in its data directory.
func RemoteKeys(ctx context.Context, cfg *config.Config) (Keyring, error) {
	r, err := remote(ctx, cfg)
	return remoteKeys{r}, err
}

// remoteControl asks the process that serves from a data directory.
type remoteControl struct{ client *http.Client }

func remote(ctx context.Context, cfg *config.Config) (remoteControl, error) {
	path := controlPath(cfg)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	if err != nil {
		return remoteControl{}, fmt.Errorf("the process that has it takes no orders: %w", err)
	}
	if err := conn.Close(); err != nil {
		return remoteControl{}, err
	}
	return remoteControl{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 30 * time.Second}}, nil
}

// Create implements Keyring.
func (k remoteKeys) Create(ctx context.Context, key NewKey) (NewKey, error) {
	var made order
	err := k.do(ctx, http.MethodPost, "/keys", order{key, key.Secret.Reveal()}, &made)
	made.NewKey.Secret = config.Secret(made.Secret)
	return made.NewKey, err
}

// List implements Keyring.
func (k remoteKeys) List(ctx context.Context) (keys []StoredKey, err error) {
	return keys, k.do(ctx, http.MethodGet, "/keys", nil, &keys)
}

// Revoke implements Keyring.
func (k remoteKeys) Revoke(ctx context.Context, id string) error {
	return k.do(ctx, http.MethodDelete, "/keys/"+url.PathEscape(id), nil, &struct{}{})
}

func (k remoteControl) do(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://pithos"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := k.client.Do(r)
	if err != nil {
		return fmt.Errorf("ask the process that serves: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("ask the process that serves: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return json.Unmarshal(text, out)
	}
	f := fault{Text: fmt.Sprintf("the process that serves answers %s: it may be of another version", resp.Status)}
	if json.Unmarshal(text, &f) == nil && keyFaults[f.Kind] != nil {
		return &remoteFault{f.Text, keyFaults[f.Kind]}
	}
	return errors.New(f.Text)
}

// remoteFault says what the other process said, and is what it was there.
type remoteFault struct {
	text string
	is   error
}

// Error implements error.
func (f *remoteFault) Error() string { return f.text }

// Unwrap is for errors.Is.
func (f *remoteFault) Unwrap() error { return f.is }
