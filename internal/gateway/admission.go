package gateway

import (
	"net/http"
	"time"
)

// admission bounds the requests that are served at a time. A request beyond
// the bound waits a moment for its turn, and is then told to slow down.
type admission struct {
	slots chan struct{}
	// queue bounds those that wait, by as many as are served.
	queue chan struct{}
	wait  time.Duration
	next  http.Handler
}

func newAdmission(limit int, wait time.Duration, next http.Handler) *admission {
	return &admission{slots: make(chan struct{}, limit), queue: make(chan struct{}, limit), wait: wait, next: next}
}

// ServeHTTP implements http.Handler.
func (a *admission) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !a.enter(r) {
		refuse(w, r, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.", time.Second)
		return
	}
	defer func() { <-a.slots }()
	a.next.ServeHTTP(w, r)
}

// enter takes a slot, and reports whether it got one.
func (a *admission) enter(r *http.Request) bool {
	select {
	case a.slots <- struct{}{}:
		return true
	default:
	}
	select {
	case a.queue <- struct{}{}:
		defer func() { <-a.queue }()
	default:
		return false
	}
	timer := time.NewTimer(a.wait)
	defer timer.Stop()
	select {
	case a.slots <- struct{}{}:
		return true
	case <-timer.C:
	case <-r.Context().Done():
	}
	return false
}
