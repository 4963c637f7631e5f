package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/keyadmin"
)

var _ keyadmin.Keyring = remoteKeys{}

// keyRequest is a key to create; as the answer, the created key.
type keyRequest struct {
	keyadmin.NewKey
	Secret string `json:"secret_key"`
}

func handleKeys(mux *http.ServeMux, keys func() keyadmin.Keyring) {
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		all, err := keys().List(r.Context())
		answer(w, all, err)
	})
	mux.HandleFunc("POST /keys", func(w http.ResponseWriter, r *http.Request) {
		var in keyRequest
		if err := decode(w, r, &in); err != nil {
			answer(w, nil, fmt.Errorf("%w: %w", keyadmin.ErrInvalidKey, err))
			return
		}
		in.NewKey.Secret = config.Secret(in.Secret)
		created, err := keys().Create(r.Context(), in.NewKey)
		answer(w, keyRequest{created, created.Secret.Reveal()}, err)
	})
	mux.HandleFunc("DELETE /keys/{id}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, keys().Revoke(r.Context(), r.PathValue("id")))
	})
}

// remoteKeys are the keys of the engine that another process has open.
type remoteKeys struct{ client }

// RemoteKeys returns the keys of the embedded engine that another process
// serves from, or an error if no process answers at its control socket.
func RemoteKeys(ctx context.Context, cfg *config.Config) (keyadmin.Keyring, error) {
	c, err := dial(ctx, cfg)
	return remoteKeys{c}, err
}

// Create implements [keyadmin.Keyring].
func (k remoteKeys) Create(ctx context.Context, key keyadmin.NewKey) (keyadmin.NewKey, error) {
	var created keyRequest
	err := k.call(ctx, http.MethodPost, "/keys", keyRequest{key, key.Secret.Reveal()}, &created)
	created.NewKey.Secret = config.Secret(created.Secret)
	return created.NewKey, err
}

// List implements [keyadmin.Keyring].
func (k remoteKeys) List(ctx context.Context) (keys []keyadmin.StoredKey, err error) {
	return keys, k.call(ctx, http.MethodGet, "/keys", nil, &keys)
}

// Revoke implements [keyadmin.Keyring].
func (k remoteKeys) Revoke(ctx context.Context, id string) error {
	return k.call(ctx, http.MethodDelete, "/keys/"+url.PathEscape(id), nil, &struct{}{})
}
