package s3api

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	start := time.Now()
	hr.Body = newWireBody(hr)
	r := &Request{Request: hr, ID: newRequestID(), ContentLength: hr.ContentLength, Client: ClientOf(hr), admission: a.options.Admit}
	out := Record(w)
	out.Header().Set("Server", "Pithos")
	out.Header().Set("x-amz-request-id", r.ID)
	out.Header().Set("x-amz-id-2", a.hostID)
	err := a.guarded(out, r)
	cut := false
	if err != nil {
		cut = a.answerError(out, r, err)
	}
	info := RequestInfoOf(hr.Context())
	alone := info == nil
	if alone {
		info = &RequestInfo{}
	}
	info.fill(r, err, time.Since(start))
	if alone {
		LogAccess(a.log, hr, info, out, info.took)
	}
	if cut {
		panic(http.ErrAbortHandler) // the client must see that the answer is incomplete
	}
}

// guarded turns a panic into an error and logs the stack.
func (a *API) guarded(w *response, r *Request) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		a.log.Error("panic", zap.String("request", r.ID), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		err = fail(s3err.InternalError)
	}()
	return a.serve(w, r)
}

// serve is the list of steps of a request.
func (a *API) serve(w *response, r *Request) error {
	where, err := parseAddress(r.Request, a.suffixes)
	r.BucketName, r.Key, r.byHost = where.bucket, where.key, where.byHost
	if err != nil {
		return err
	}
	if r.query, err = parseQuery(r.URL.RawQuery); err != nil {
		return err
	}
	if err := singular(r); err != nil {
		return err
	}
	if err := a.route(r); err != nil {
		return err
	}
	if err := a.addCORS(w, r); err != nil {
		return err
	}
	if r.Op.Authenticate != nil {
		// The body is read to identify the caller. That is not done for a bucket that
		// does not exist.
		if err := a.loadBucket(r); err != nil {
			return err
		}
	}
	if err := a.authenticate(r); err != nil {
		return err
	}
	dropEmpty(r.Header)
	if r.Op.Handler == nil {
		return failf(s3err.NotImplemented, "%s is not implemented.", r.Op.Name).With("Operation", r.Op.Name)
	}
	if err := holdHeaders(r); err != nil {
		return err
	}
	return a.perform(w, r)
}

const (
	// maxRecreated is how often a request is repeated because its bucket was
	// deleted and created again.
	maxRecreated = 3
	// maxReplaced is how often a copy is repeated because its source was replaced. A
	// source with many writers may be replaced each time.
	maxReplaced = 10
)

// perform authorizes a request and calls its handler. Both are repeated if the
// bucket from the cache was deleted and created again, perhaps for another tenant,
// or if the source of a copy is no longer the version that was authorized. They are
// not repeated once the body is read: see [store.PutInput.Reauthorize] for that.
func (a *API) perform(w *response, r *Request) error {
	body := &noticedBody{Reader: r.Body}
	if r.Body != nil && r.Op.Body != BodyDocument { // a document is read once, and cached
		r.Body = body
	}
	admitted := false
	for recreated, replaced := 0, 0; ; {
		before := w.Header().Clone()
		err := a.performOnce(w, r, &admitted)
		if r.Bucket != nil && errors.Is(err, meta.ErrBucketGone) {
			err = cmp.Or(a.store.ConfirmBucket(r.Context(), r.Bucket), err)
		}
		switch {
		case w.status != 0 || body.read:
			return err
		case errors.Is(err, store.ErrBucketRecreated) && recreated < maxRecreated:
			recreated++
		case errors.Is(err, store.ErrSourceReplaced) && replaced < maxReplaced:
			if err := store.BackOff(r.Context(), replaced); err != nil {
				return err
			}
			replaced++
		default:
			return err
		}
		clear(w.Header())
		maps.Copy(w.Header(), before)
		r.forgetBucket()
	}
}

// forgetBucket resets all fields that loadBucket and authorize set, so that both
// can run again and nothing of the earlier decision is part of the next. Each new
// field that they set belongs here.
func (r *Request) forgetBucket() {
	r.Bucket, r.found, r.Resources, r.evaluators = nil, nil, nil, nil
	r.carriedTags, r.carriesACL = nil, false
}

// performOnce is one attempt of perform. It sets admitted once the request's work
// is admitted.
func (a *API) performOnce(w *response, r *Request, admitted *bool) error {
	if err := a.loadBucket(r); err != nil {
		return err
	}
	if err := expectOwner(r); err != nil {
		return err
	}
	if err := a.authorize(r); err != nil {
		return err
	}
	if err := checkLength(r); err != nil {
		return err
	}
	if !*admitted {
		if err := r.admit(r.work()); err != nil {
			return err
		}
		*admitted = true
	}
	return a.hideMissing(r, r.Op.Handler(a, w, r))
}

// noticedBody records whether a body was read.
type noticedBody struct {
	io.Reader
	read bool
}

// Read implements io.Reader.
func (b *noticedBody) Read(p []byte) (int, error) {
	b.read = true
	return b.Reader.Read(p)
}

// loadBucket reads the request's bucket. It may run before the caller is
// authenticated.
func (a *API) loadBucket(r *Request) error {
	if r.BucketName == "" || r.Op.NoBucket || r.Bucket != nil {
		return nil
	}
	b, err := a.store.Bucket(r.Context(), r.BucketName)
	if err != nil {
		return err
	}
	r.Bucket = b
	return nil
}

// expectOwner returns AccessDenied if the bucket does not have the owner that the
// client expects. It runs after authentication, so that a POST form does not
// confirm owners to anyone.
func expectOwner(r *Request) error {
	if want := r.Header.Get("X-Amz-Expected-Bucket-Owner"); want != "" && r.Bucket != nil && want != r.Bucket.Owner {
		return fail(s3err.AccessDenied)
	}
	return nil
}

// checkLength refuses a stream without a length, or with one that is too large,
// before a byte of it is read. MissingContentLength, EntityTooLarge.
func checkLength(r *Request) error {
	if r.Op.Body != BodyStream {
		return nil
	}
	_, declared := r.Header["Content-Length"]
	chunked := len(r.TransferEncoding) > 0 || r.Header.Get("X-Amz-Decoded-Content-Length") != ""
	if r.ContentLength == 0 && !declared && !chunked && r.ProtoMajor == 1 {
		return fail(s3err.MissingContentLength)
	}
	if limit := r.Op.MaxBody; limit > 0 && r.ContentLength > limit {
		return fail(s3err.EntityTooLarge).With("ProposedSize", strconv.FormatInt(r.ContentLength, 10)).With("MaxSizeAllowed", strconv.FormatInt(limit, 10))
	}
	return nil
}

// answerError writes the answer of an error. If another answer has begun, it
// reports that the connection must be cut instead.
func (a *API) answerError(w *response, r *Request, err error) (cut bool) {
	e := toError(err)
	if statusOf(e) >= 500 && e.Code != s3err.NotImplemented && !hungUp(r, e) && !errors.Is(err, ErrReplaced) {
		a.log.Error("request failed", zap.String("request", r.ID), zap.String("op", r.opName()), zap.String("code", string(e.Code)), zap.Error(err))
	}
	if w.status != 0 {
		return !errors.Is(err, ErrReplaced) // the other answer is complete
	}
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return true // the client has disconnected
	}
	a.writeError(w, r, e)
	return false
}

// hungUp reports whether a failure is probably the effect of a client that has
// disconnected.
func hungUp(r *Request, e *s3err.Error) bool { return statusOf(e) >= 500 && r.Context().Err() != nil }

func (r *Request) opName() string {
	if r.Op == nil {
		return ""
	}
	return r.Op.Name
}
