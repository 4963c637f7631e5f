package edge

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/s3api"
)

const (
	// requestBytes is the memory of any request: its headers, and the part of
	// its body that is read before it is authenticated.
	requestBytes = 64 << 10
	// streamChunks is the most memory of a body in either direction, in chunks,
	// however long the body is: the chunks in transit, the current one, and the
	// driver's copies.
	streamChunks = 10
	// formsPart is the part of service.max-requests that may read the fields
	// of POST forms, one in so many: their senders are not authenticated yet.
	formsPart = 8
)

// maxHeaderLines is the most lines of a request's header. Each uses about 100
// bytes of memory besides its text, and is read several times. The 8 KB that AWS
// accepts have room for 450 entries of user metadata.
const maxHeaderLines = 500

func headerLines(h http.Header) (n int) {
	for _, values := range h {
		n += len(values)
	}
	return n
}

// bodyMemory returns service.max-memory, or its default without any limit.
func bodyMemory(cfg *config.Config) int64 {
	if cfg.Service.MaxMemory == 0 {
		return config.DefaultMaxMemory
	}
	return int64(cfg.Service.MaxMemory)
}

// streamBytes returns the memory of one long body in any storage class.
func streamBytes(cfg *config.Config) int64 {
	largest := config.Size(512 << 10)
	for _, region := range cfg.Regions {
		for _, class := range region.StorageClasses {
			largest = max(largest, class.MaxChunk)
		}
	}
	return streamChunks * int64(largest)
}

// admission bounds the number and the memory of requests that run at the same
// time. A request beyond the bounds waits for a moment, and is then told to slow
// down, so that the running requests are completed in time.
//
// A request is admitted in two steps. First it gets a slot and requestBytes.
// Package s3api asks for more by [admission.admit] when it has authorized the
// request: no memory is granted for a length that a stranger declares. Slots and
// memory are shared among client addresses and among tenants, see [pool].
//
// While the engine fails, the limiter lowers the number: requests that would pile
// up until they time out are refused at once instead.
type admission struct {
	limiter *limiter
	memory  *pool
	forms   *pool // requests that read the fields of a form
	stream  int64 // bytes that one body takes at most
	answer  mean  // memory that the body of an object used lately
	wait    time.Duration
	next    http.Handler
	// shareOf returns the callers of a request by the address of its client.
	shareOf func(*http.Request) callers
}

// newAdmission passes up to limit concurrent requests to next, whose bodies use
// up to stream bytes each, and up to memory bytes together.
func newAdmission(limit int, memory, stream int64, wait time.Duration, next http.Handler) *admission {
	memory = max(memory, requestBytes+stream) // so that one request fits
	a := &admission{
		limiter: newLimiter(limit), memory: newPool(memory, int64(limit)), forms: newPool(int64(max(1, limit/formsPart)), int64(limit)),
		stream: stream, wait: wait, next: next, shareOf: func(*http.Request) callers { return callers{} },
	}
	a.answer.set(stream) // until there was an answer
	return a
}

// ServeHTTP implements http.Handler.
func (a *admission) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if t := a.serve(w, r); t.unread {
		drainBody(w, r) // it holds neither a slot nor memory
	}
}

func (a *admission) serve(w http.ResponseWriter, r *http.Request) *ticket {
	t := &ticket{admission: a, callers: a.shareOf(r)}
	// With a ticket, refuse does not drain the body: ServeHTTP does so when the
	// request holds nothing.
	r = r.WithContext(context.WithValue(r.Context(), ticketKey{}, t))
	ctx, cancel := context.WithTimeout(r.Context(), a.wait)
	defer cancel()
	if !a.limiter.acquire(ctx, t.callers) {
		t.unread = true
		slowDown(w, r)
		return t
	}
	outcome := engineUnknown
	defer func() { a.limiter.release(outcome, t.callers) }()
	if !a.memory.take(ctx, requestBytes, 0, t.callers) {
		t.unread = true
		slowDown(w, r)
		return t
	}
	t.holds = requestBytes
	answer := s3api.Record(w)
	answer.BeforeHeader = func(status int) (replaced bool) {
		if r.Method != http.MethodGet || status >= http.StatusMultipleChoices || a.fits(r.Context(), answer.Header(), t) {
			return false
		}
		t.refused = true
		clear(answer.Header())
		slowDown(answer, r)
		return true
	}
	defer func() {
		answer.BeforeHeader = nil
		t.unread = t.unread && answer.Status() >= http.StatusBadRequest
		a.memory.give(t.holds, t.callers)
		a.leaveForms(t)
		switch {
		case t.refused:
		case answer.Status() == http.StatusServiceUnavailable && engineWorks(r.Context()):
		case answer.Status() == http.StatusServiceUnavailable:
			outcome = engineUnavailable
		default:
			outcome = engineServed
		}
	}()
	a.next.ServeHTTP(answer, r)
	return t
}

// engineWorks reports whether s3api has answered and says that the engine did not
// fail. A 503 of such a request does not reduce how many requests are served.
func engineWorks(ctx context.Context) bool {
	info := requestInfo(ctx)
	return info.Answered && !info.EngineFailed
}

// ticket is what a request that was let in holds.
type ticket struct {
	admission *admission
	callers   callers
	holds     int64 // bytes of memory
	form      bool  // a slot of admission.forms
	work      s3api.WorkKind
	refused   bool // the gateway has answered without the engine
	unread    bool // the client may still send a body that was refused
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
		info := requestInfo(ctx)
		info.Refused, info.Code = true, string(s3err.SlowDown)
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
		if !a.limiter.adopt(ctx, 1, tenant) {
			return false
		}
		a.memory.count(t.holds, tenant) // too little to refuse a request for
		t.callers[1] = tenant
	}
	return a.hold(ctx, t, requestBytes+a.bytes(w))
}

// Reserve is [store.Options.Reserve]: it takes memory for what is stored of an
// object, in addition to what the request of ctx holds. Background work has no
// ticket, and takes none. It is called concurrently by the deletions of one
// DeleteObjects, and the refusal of one of them does not refuse the request: so it
// leaves the ticket and the access log alone.
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

// hold raises what the request holds to at least n bytes.
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

// bytes returns the memory that work needs beyond requestBytes. How much a GET
// needs is not known before its answer begins: the mean of others is used.
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

// body returns the memory of a body of that length: its chunks, and their copies
// in the frames of the driver.
func (a *admission) body(length int64) int64 {
	if length > a.stream/2 {
		return a.stream
	}
	return 2 * length
}

// fits makes what the request holds what its answer takes, and reports whether
// there is room. Only the header of the answer to a GET says how long it is.
func (a *admission) fits(ctx context.Context, header http.Header, t *ticket) bool {
	length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		return true
	}
	takes := requestBytes + a.body(length)
	if t.work == s3api.WorkObject {
		a.answer.add(takes - requestBytes)
	}
	if takes < t.holds {
		a.memory.give(t.holds-takes, t.callers)
		t.holds = takes
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	return a.hold(ctx, t, takes)
}
