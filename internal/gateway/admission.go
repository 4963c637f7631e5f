package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/pithos/pithos/config"
)

const (
	// requestBytes is what a request takes beside its body.
	requestBytes = 64 << 10
	// streamChunks is the most memory that one body takes in either direction,
	// however long it is, in chunks: those that are under way, the one at
	// hand, and what the driver makes of them.
	streamChunks = 10
)

// bodyMemory is service.max-memory; where that is not set, what holds without
// any limit.
func bodyMemory(cfg *config.Config) int64 {
	if cfg.Service.MaxMemory == 0 {
		return config.DefaultMaxMemory
	}
	return int64(cfg.Service.MaxMemory)
}

// streamBytes is the memory of one long body in any storage class.
func streamBytes(cfg *config.Config) int64 {
	largest := config.Size(512 << 10)
	for _, region := range cfg.Regions {
		for _, class := range region.StorageClasses {
			largest = max(largest, class.MaxChunk)
		}
	}
	return streamChunks * int64(largest)
}

// admission bounds what is served at a time, by number and by memory. A
// request beyond the bounds waits a moment for its turn, and is then told to
// slow down: so what is under way is done in time, instead of all in vain.
//
// Where the engine fails, the bound on the number shrinks: requests that would
// pile up, each waiting for its time-out, are refused at once instead.
type admission struct {
	turns  *turns
	memory *semaphore.Weighted
	stream int64 // bytes that one body takes at most
	answer mean  // of what an object's body took lately
	wait   time.Duration
	next   http.Handler
}

// newAdmission lets up to limit requests through to next, while their bodies,
// each of which takes up to stream bytes, take no more than memory.
func newAdmission(limit int, memory, stream int64, wait time.Duration, next http.Handler) *admission {
	memory = max(memory, requestBytes+stream) // or none would ever fit
	a := &admission{turns: newTurns(limit), memory: semaphore.NewWeighted(memory), stream: stream, wait: wait, next: next}
	a.answer.set(stream) // until it is known better
	return a
}

// ServeHTTP implements http.Handler.
func (a *admission) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), a.wait)
	defer cancel()
	if !a.turns.take(ctx) {
		slowDown(w, r)
		return
	}
	unavailable := false
	defer func() { a.turns.leave(unavailable) }()
	takes := a.takes(r)
	if !acquire(ctx, a.memory, takes) {
		slowDown(w, r)
		return
	}
	out := &admitted{ResponseWriter: w, request: r, admission: a, holds: takes}
	defer func() {
		a.memory.Release(out.holds)
		unavailable = out.status == http.StatusServiceUnavailable && !out.refused
	}()
	a.next.ServeHTTP(out, r)
}

// acquire waits no longer than ctx, but takes what is free even if that has
// ended.
func acquire(ctx context.Context, s *semaphore.Weighted, n int64) bool {
	return s.TryAcquire(n) || s.Acquire(ctx, n) == nil
}

func slowDown(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.", time.Second)
}

// takes is the memory that a request is going to take, in bytes. How much a
// GET takes is not known before its answer begins: as much as others do.
func (a *admission) takes(r *http.Request) int64 {
	switch {
	case r.ContentLength < 0, r.Header.Get("X-Amz-Copy-Source") != "":
		return requestBytes + a.stream
	case r.ContentLength > 0:
		return requestBytes + a.body(r.ContentLength)
	case r.Method == http.MethodGet:
		return requestBytes + a.answer.get()
	}
	return requestBytes
}

// body is the memory that a body of that length takes: it lies in chunks, and
// once more in the driver's frames.
func (a *admission) body(length int64) int64 {
	if length > a.stream/2 {
		return a.stream
	}
	return 2 * length
}

// admitted is an answer whose memory is accounted for.
type admitted struct {
	http.ResponseWriter
	request   *http.Request
	admission *admission
	holds     int64
	status    int // 0: not written yet
	refused   bool
}

// WriteHeader implements http.ResponseWriter. Only now it is known how long
// the answer to a GET is. If there is no room for it, it is another one.
func (w *admitted) WriteHeader(status int) {
	if w.status != 0 || status < http.StatusOK { // 100 Continue is no answer yet
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.status = status
	if w.request.Method == http.MethodGet && status < http.StatusMultipleChoices && !w.fit() {
		w.refused = true
		clear(w.Header())
		slowDown(w.ResponseWriter, w.request)
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

// fit makes what the request holds what its answer takes, and reports whether
// there is room.
func (w *admitted) fit() bool {
	length, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64)
	if err != nil {
		return true // a document
	}
	a := w.admission
	takes := requestBytes + a.body(length)
	a.answer.add(takes - requestBytes)
	if more := takes - w.holds; more > 0 {
		ctx, cancel := context.WithTimeout(w.request.Context(), a.wait)
		defer cancel()
		if !acquire(ctx, a.memory, more) {
			return false
		}
	} else {
		a.memory.Release(-more)
	}
	w.holds = takes
	return true
}

// errRefused ends a handler whose answer was replaced.
var errRefused = errors.New("the gateway had no memory left for the answer; the client was told to slow down")

// Write implements io.Writer.
func (w *admitted) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.refused {
		return 0, errRefused
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *admitted) Unwrap() http.ResponseWriter { return w.ResponseWriter }
