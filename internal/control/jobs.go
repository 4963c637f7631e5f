package control

import (
	"context"
	"net/http"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/jobs"
)

var _ jobs.Lister = remoteJobs{}

func handleJobs(mux *http.ServeMux, lister jobs.Lister) {
	mux.HandleFunc("GET /jobs", func(w http.ResponseWriter, r *http.Request) {
		all, err := lister.ListJobs(r.Context())
		answer(w, all, err)
	})
}

// remoteJobs are the jobs of the engine that another process has open.
type remoteJobs struct{ client }

// RemoteJobs returns the jobs of the embedded engine that another process serves
// from, or an error if no process answers at its control socket.
func RemoteJobs(ctx context.Context, cfg *config.Config) (jobs.Lister, error) {
	c, err := dial(ctx, cfg)
	return remoteJobs{c}, err
}

// ListJobs implements [jobs.Lister].
func (j remoteJobs) ListJobs(ctx context.Context) (all []jobs.Status, err error) {
	return all, j.call(ctx, http.MethodGet, "/jobs", nil, &all)
}
