package control

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// Hold is a hold of a backup, in the form in which it is shown. Package store,
// holds.go, describes holds.
type Hold struct {
	ID     string    `json:"id"`
	Reason string    `json:"reason,omitempty"`
	Began  time.Time `json:"began"`
	// Left is the time until it expires unless it is renewed, in seconds.
	Left int64 `json:"left_seconds"`
}

func shownHold(h meta.Hold) Hold {
	return Hold{h.ID.String(), h.Reason, time.UnixMicro(h.Began).UTC(), int64(h.Left / time.Second)}
}

// Holds manages the holds of backups, in this process or in another one.
type Holds interface {
	Begin(ctx context.Context, left time.Duration, reason string) (Hold, error)
	// Renew and End return [store.ErrNoHold] where the hold is gone.
	Renew(ctx context.Context, id string, left time.Duration) (Hold, error)
	End(ctx context.Context, id string) error
	List(context.Context) ([]Hold, error)
}

var (
	_ Holds = holdAdmin{}
	_ Holds = remoteHolds{}
)

// LocalHolds manages the holds of a store that this process has open.
func LocalHolds(m meta.Holds) Holds { return holdAdmin{store.HoldAdmin{Meta: m}} }

type holdAdmin struct{ admin store.HoldAdmin }

// parseHoldID returns [store.ErrNoHold] for a text that is not an id.
func parseHoldID(id string) (meta.ID, error) {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != len(meta.ID{}) {
		return meta.ID{}, fmt.Errorf("%q: %w", id, store.ErrNoHold)
	}
	return meta.ID(b), nil
}

// Begin implements Holds.
func (a holdAdmin) Begin(ctx context.Context, left time.Duration, reason string) (Hold, error) {
	h, err := a.admin.Begin(ctx, left, reason)
	return shownHold(h), err
}

// Renew implements Holds.
func (a holdAdmin) Renew(ctx context.Context, id string, left time.Duration) (Hold, error) {
	name, err := parseHoldID(id)
	if err != nil {
		return Hold{}, err
	}
	h, err := a.admin.Renew(ctx, name, left)
	return shownHold(h), err
}

// End implements Holds.
func (a holdAdmin) End(ctx context.Context, id string) error {
	name, err := parseHoldID(id)
	if err != nil {
		return err
	}
	return a.admin.End(ctx, name)
}

// List implements Holds.
func (a holdAdmin) List(ctx context.Context) ([]Hold, error) {
	holds, err := a.admin.Meta.ListHolds(ctx)
	shown := []Hold{}
	for _, h := range holds {
		shown = append(shown, shownHold(h))
	}
	return shown, err
}

// holdRequest is a hold to add or to renew.
type holdRequest struct {
	Left   time.Duration `json:"left"`
	Reason string        `json:"reason,omitempty"`
}

func handleHolds(mux *http.ServeMux, holds Holds) {
	mux.HandleFunc("GET /holds", func(w http.ResponseWriter, r *http.Request) {
		all, err := holds.List(r.Context())
		answer(w, all, err)
	})
	withRequest := func(handle func(*http.Request, holdRequest) (Hold, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var in holdRequest
			if err := decode(w, r, &in); err != nil {
				answer(w, nil, err)
				return
			}
			h, err := handle(r, in)
			answer(w, h, err)
		}
	}
	mux.HandleFunc("POST /holds", withRequest(func(r *http.Request, in holdRequest) (Hold, error) {
		return holds.Begin(r.Context(), in.Left, in.Reason)
	}))
	mux.HandleFunc("PUT /holds/{id}", withRequest(func(r *http.Request, in holdRequest) (Hold, error) {
		return holds.Renew(r.Context(), r.PathValue("id"), in.Left)
	}))
	mux.HandleFunc("DELETE /holds/{id}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, holds.End(r.Context(), r.PathValue("id")))
	})
}

// RemoteHolds returns the holds of the embedded engine that another process
// serves from, or an error if no process answers at its control socket.
func RemoteHolds(ctx context.Context, cfg *config.Config) (Holds, error) {
	c, err := dial(ctx, cfg)
	return remoteHolds{c}, err
}

// remoteHolds are the holds of the engine that another process has open.
type remoteHolds struct{ client }

// Begin implements Holds.
func (r remoteHolds) Begin(ctx context.Context, left time.Duration, reason string) (h Hold, err error) {
	err = r.call(ctx, http.MethodPost, "/holds", holdRequest{left, reason}, &h)
	return h, err
}

// Renew implements Holds.
func (r remoteHolds) Renew(ctx context.Context, id string, left time.Duration) (h Hold, err error) {
	err = r.call(ctx, http.MethodPut, "/holds/"+url.PathEscape(id), holdRequest{Left: left}, &h)
	return h, err
}

// End implements Holds.
func (r remoteHolds) End(ctx context.Context, id string) error {
	return r.call(ctx, http.MethodDelete, "/holds/"+url.PathEscape(id), nil, &struct{}{})
}

// List implements Holds.
func (r remoteHolds) List(ctx context.Context) (holds []Hold, err error) {
	err = r.call(ctx, http.MethodGet, "/holds", nil, &holds)
	return holds, err
}

// EndAll ends all holds. A restored store needs it: the copy of the metadata has
// the hold of its own backup.
func EndAll(ctx context.Context, holds Holds) (ended []Hold, err error) {
	all, err := holds.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range all {
		if err := holds.End(ctx, h.ID); err != nil && !errors.Is(err, store.ErrNoHold) {
			return ended, err
		}
		ended = append(ended, h)
	}
	return ended, nil
}
