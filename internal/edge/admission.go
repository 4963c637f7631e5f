package edge

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/s3api"
)

const (
	// requestBytes is what a request takes, whoever sends it: its headers, and
	// as much of its body as is read before it is authenticated.
	requestBytes = 64 << 10
	// streamChunks is the most memory that one body takes in either direction,
	// however long it is, in chunks: those that are under way, the one at
	// hand, and what the driver makes of them.
	streamChunks = 10
	// formsPart is the part of service.max-requests that may read the fields
	// of POST forms, one in so many: nobody is authenticated there yet.
	formsPart = 8
)

// maxHeaderLines is the most lines of a request's header. Each takes about 100
// bytes of memory beside its own, and is looked at several times. The 8 KB that
// AWS takes have room for 450 entries of user metadata.
const maxHeaderLines = 500

func headerLines(h http.Header) (n int) {
	for _, values := range h {
		n += len(values)
	}
	return n
}

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
// request beyond the bounds waits a moment, and is then told to slow down: so
// what is under way is done in time, instead of all in vain.
//
// A request is admitted in two steps. At first it gets a turn and requestBytes.
// Package s3api asks for more by [admission.admit] when it knows who the caller
// is and that the caller may do what it asks for: no memory is granted for a
// length that a stranger declares. Turns and memory are shared among client
// addresses and among tenants, see [pool].
//
// Where the engine fails, the bound on the number shrinks: requests that would
// pile up, each waiting for its time-out, are refused at once instead.
type admission struct {
	turns  *turns
	memory *pool
	forms  *pool // requests that read the fields of a form
	stream int64 // bytes that one body takes at most
	answer mean  // of what an object's body took lately
	wait   time.Duration
	next   http.Handler
	// shareOf is who a request is accounted to by its client's address.
	shareOf func(*http.Request) callers
}

// newAdmission lets up to limit requests through to next, while their bodies,
// each of which takes up to stream bytes, take no more than memory.
func newAdmission(limit int, memory, stream int64, wait time.Duration, next http.Handler) *admission {
	memory = max(memory, requestBytes+stream) // or none would ever fit
	a := &admission{
		turns: newTurns(limit), memory: newPool(memory, int64(limit)), forms: newPool(int64(max(1, limit/formsPart)), int64(limit)),
		stream: stream, wait: wait, next: next, shareOf: func(*http.Request) callers { return callers{} },
	}
	a.answer.set(stream) // until it is known better
	return a
}

// ServeHTTP implements http.Handler.
func (a *admission) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if t := a.serve(w, r); t.unread {
		linger(w, r) // it holds neither a turn nor memory
	}
}

func (a *admission) serve(w http.ResponseWriter, r *http.Request) *ticket {
	t := &ticket{admission: a, callers: a.shareOf(r)}
	// With its ticket the request is refused without lingering: that is left
	// until it holds nothing.
	r = r.WithContext(context.WithValue(r.Context(), ticketKey{}, t))
	ctx, cancel := context.WithTimeout(r.Context(), a.wait)
	defer cancel()
	if !a.turns.take(ctx, t.callers) {
		t.unread = true
		slowDown(w, r)
		return t
	}
	outcome := engineUnknown
	defer func() { a.turns.leave(outcome, t.callers) }()
	if !a.memory.take(ctx, requestBytes, 0, t.callers) {
		t.unread = true
		slowDown(w, r)
		return t
	}
	t.holds = requestBytes
	out := &admitted{ResponseWriter: w, request: r, admission: a, ticket: t}
	defer func() {
		t.unread = t.unread && out.status >= http.StatusBadRequest
		a.memory.give(t.holds, t.callers)
		a.leaveForms(t)
		switch {
		case t.refused:
		case out.status == http.StatusServiceUnavailable && noteOf(r.Context()).reached():
		case out.status == http.StatusServiceUnavailable:
			outcome = engineUnavailable
		default:
			outcome = engineServed
		}
	}()
	a.next.ServeHTTP(out, r)
	return t
}

// ticket is what a request that was let in holds.
type ticket struct {
	admission *admission
	callers   callers
	holds     int64 // bytes of memory
	form      bool  // a place in admission.forms
	work      s3api.WorkKind
	refused   bool // the gateway has answered, not the engine
	unread    bool // the client may go on sending a body that was refused
	// body changes the least speed of the request's body; nil without one.
	body func(s3api.WorkKind)
}

type ticketKey struct{}

func ticketOf(ctx context.Context) *ticket {
	t, _ := ctx.Value(ticketKey{}).(*ticket)
	return t
}

// admit is [s3api.Options.Admit].
func (a *admission) admit(ctx context.Context, w s3api.Work) error {
	t := ticketOf(ctx)
	if t == nil {
		return nil
	}
	granting, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	if !a.grant(granting, t, w) {
		t.refused = true
		n := noteOf(ctx)
		n.refused, n.Code = true, string(s3err.SlowDown)
		return s3err.New(s3err.SlowDown)
	}
	t.work = w.Kind
	if t.body != nil {
		t.body(w.Kind)
	}
	return nil
}

func (a *admission) grant(ctx context.Context, t *ticket, w s3api.Work) bool {
	if w.Kind == s3api.WorkForm {
		t.form = a.forms.take(ctx, 1, 0, t.callers)
		return t.form
	}
	a.leaveForms(t)
	if tenant := "tenant " + w.Tenant; w.Tenant != "" && t.callers[1] == "" {
		if !a.turns.adopt(ctx, 1, tenant) {
			return false
		}
		a.memory.count(t.holds, tenant) // too little to refuse a request for
		t.callers[1] = tenant
	}
	return a.hold(ctx, t, requestBytes+a.bytes(w))
}

// Reserve is [store.Options.Reserve]: it takes memory for what is stored of an
// object, in addition to what the request of ctx holds. Background work has no
// ticket, and takes none.
func Reserve(ctx context.Context, bytes int64) (release func(), err error) {
	t := ticketOf(ctx)
	if t == nil {
		return func() {}, nil
	}
	a := t.admission
	granting, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	bytes = min(bytes, a.stream) // so that it fits, however little memory there is
	if !a.memory.take(granting, bytes, t.holds, t.callers) {
		t.refused = true
		n := noteOf(ctx)
		n.refused, n.Code = true, string(s3err.SlowDown)
		return nil, s3err.New(s3err.SlowDown)
	}
	return func() { a.memory.give(bytes, t.callers) }, nil
}

// leaveForms gives back the place of a form whose fields were read.
func (a *admission) leaveForms(t *ticket) {
	if t.form {
		a.forms.give(1, callers{t.callers[0], "", t.callers[2]}) // its tenant was not known yet
		t.form = false
	}
}

// hold makes what the request holds at least n bytes.
func (a *admission) hold(ctx context.Context, t *ticket, n int64) bool {
	if n <= t.holds {
		return true
	}
	if !a.memory.take(ctx, n-t.holds, t.holds, t.callers) {
		return false
	}
	t.holds = n
	return true
}

func slowDown(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, s3err.New(s3err.SlowDown))
}

// bytes is the memory that work is going to take, beyond requestBytes. How much
// a GET takes is not known before its answer begins: as much as others do.
func (a *admission) bytes(w s3api.Work) int64 {
	switch w.Kind {
	case s3api.WorkStream:
		if w.Bytes >= 0 {
			return a.body(w.Bytes)
		}
		return a.stream
	case s3api.WorkCopy:
		return a.stream
	case s3api.WorkObject:
		return a.answer.get()
	case s3api.WorkPage:
		return min(w.Bytes, a.stream) // so that it fits, however little memory there is
	case s3api.WorkDocument:
		if w.Bytes > requestBytes {
			return a.body(w.Bytes) // as it is, and what is made of it
		}
	}
	return 0
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
	ticket    *ticket
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
		w.refused, w.ticket.refused = true, true
		w.status = http.StatusServiceUnavailable
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
		return true
	}
	a, t := w.admission, w.ticket
	takes := requestBytes + a.body(length)
	if t.work == s3api.WorkObject {
		a.answer.add(takes - requestBytes)
	}
	if takes < t.holds {
		a.memory.give(t.holds-takes, t.callers)
		t.holds = takes
		return true
	}
	ctx, cancel := context.WithTimeout(w.request.Context(), a.wait)
	defer cancel()
	return a.hold(ctx, t, takes)
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
