package s3api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/policy"
	"github.com/pithos/pithos/store"
)

// Access is one action of a request on one resource.
type Access struct {
	Bucket *meta.Bucket
	// Key is "" for the bucket itself.
	Key, VersionID string
	Action         string
	// IfMatch is the ETag that the key of a DeleteObjects must have; nil if any.
	IfMatch []string
	// ContinueOnDeny: a refusal concerns only this resource. It is recorded in Err,
	// and the request continues. It is for DeleteObjects.
	ContinueOnDeny bool
	// Also is a second action on the same resource; "" for none. The access is
	// refused if either action is.
	Also string
	// DenyOnly: only an explicit Deny refuses the access. It is set if an ACL allows
	// the request itself, because ACLs do not have this action, and if an object's
	// ACL grants only to the bucket's owner.
	DenyOnly bool
	// New: the object is the one that the request makes. The owner and ACL of an
	// object that it replaces are not considered.
	New bool
	// Carried: the request copies attributes of this object (Operation.Carries) to
	// the object that it writes.
	Carried bool
	// Err is the reason of a refusal; nil if the access is allowed.
	Err error

	found *store.Found // the version that was read for the decision; nil if none
	byACL bool         // an ACL allowed it
}

// authorize decides whether the caller may do everything that the request does.
// AccessDenied, or NoSuchKey if the caller may know that.
//
// What a request does is declared, not coded in handlers: by the row's Action, by
// its Resources, and by the table of request headers (requestHeader.Needs), as AWS
// documents the permissions of each operation. Reads are decided first, because
// the attributes that the request copies from there (tags, an ACL) are part of
// what it writes, and conditions see them.
func (a *API) authorize(r *Request) error {
	if err := a.possible(r); err != nil {
		return err
	}
	reads, writes := byHeaders(r)
	if r.Op.Resources != nil {
		more, err := r.Op.Resources(a, r)
		if err != nil {
			return err
		}
		r.Resources = more
	}
	for _, list := range [][]Access{r.Resources, reads} {
		if err := a.decide(r, list); err != nil {
			return err
		}
		carried, err := a.carried(r, list)
		if err != nil {
			return err
		}
		if err := a.decide(r, carried); err != nil {
			return err
		}
	}
	action := r.Op.action(r)
	if action == "" || r.Op.Public {
		return nil
	}
	own := []Access{{Bucket: r.Bucket, Key: r.Key, VersionID: r.VersionID(), Action: action}}
	if err := a.decide(r, own); err != nil {
		return err
	}
	if len(r.carriedTags) > 0 {
		writes = append(writes, Access{Bucket: r.Bucket, Key: r.Key, Action: "s3:PutObjectTagging", DenyOnly: true})
	}
	if r.carriesACL {
		writes = append(writes, Access{Bucket: r.Bucket, Key: r.Key, Action: "s3:PutObjectAcl", DenyOnly: true, New: true})
	}
	ownerOnly := grantsBucketOwnerOnly(r)
	for i := range writes {
		w := &writes[i]
		w.DenyOnly = w.DenyOnly && (own[0].byACL || w.Action == "s3:PutObjectAcl" && ownerOnly)
	}
	return a.decide(r, writes)
}

// decide decides each access of a list.
func (a *API) decide(r *Request, list []Access) error {
	for i := range list {
		if err := r.Context().Err(); err != nil {
			return err // the client has left
		}
		x := &list[i]
		err := a.allowed(r, x)
		if err == nil && x.Also != "" {
			also := *x
			also.Action = x.Also
			err = a.allowed(r, &also)
		}
		if err != nil && !x.ContinueOnDeny {
			return err
		}
		x.Err = err
	}
	return nil
}

// possible refuses a request before its body is read, if its caller cannot be
// allowed any of the row's Possible actions on any key.
func (a *API) possible(r *Request) error {
	if len(r.Op.Possible) == 0 {
		return nil
	}
	e, err := a.evaluator(r, r.Bucket)
	if err != nil {
		return err
	}
	if !e.Possible(r.Op.Possible...) {
		return fail(s3err.AccessDenied)
	}
	return nil
}

// byHeaders returns the accesses that the headers of a write need besides its own
// action: reads reveal something of the existing object, writes set attributes
// that have actions of their own.
func byHeaders(r *Request) (reads, writes []Access) {
	if r.Key == "" || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil, nil
	}
	seen := map[string]bool{r.Op.Action: true}
	for name, values := range r.Header {
		row := headerRows[name]
		if row == nil || row.Needs == "" || seen[row.Needs] && row.Kind != Offset {
			continue
		}
		x := Access{Bucket: r.Bucket, Key: r.Key, Action: row.Needs, DenyOnly: row.Kind&(SetACL|SetTags) != 0, New: row.Kind == SetACL}
		switch {
		case row.Needs != "s3:GetObject":
			writes = append(writes, x)
		case row.Kind == IfMatch && slices.Equal(values, []string{"*"}): // tells what If-None-Match does, to whom may write
			continue
		default:
			x.VersionID, x.Carried = r.VersionID(), row.Kind == Offset
			x.Action = ofVersion(x.Action, x.VersionID)
			reads = append(reads, x)
		}
		seen[row.Needs] = true
	}
	return reads, writes
}

// ofVersion returns the action for a version of an object if id is not "", else
// the action for the object.
func ofVersion(action, id string) string {
	if id == "" {
		return action
	}
	return strings.Replace(action, "Object", "ObjectVersion", 1)
}

// carried records the attributes that the request copies from the objects of a
// list, and returns the accesses that reading them needs. authorize decides about
// setting them.
func (a *API) carried(r *Request, list []Access) (needs []Access, err error) {
	for i := range list {
		x := &list[i]
		if !x.Carried || r.Op.Carries == 0 {
			continue
		}
		if x.found == nil {
			x.found, err = a.store.Find(r.Context(), x.Bucket, x.Key, x.VersionID)
		}
		if missing(err) {
			return needs, nil // there is nothing to copy; the handler returns the error
		}
		if err != nil {
			return nil, err
		}
		v := x.found.Version
		if r.Op.Carries&SetTags != 0 && len(v.Tags) > 0 {
			r.carriedTags = v.Tags
			r.evaluators = nil // they were made before conditions could see the tags
			if x.Bucket != r.Bucket || x.Key != r.Key || x.VersionID != "" {
				needs = append(needs, Access{Bucket: x.Bucket, Key: x.Key, VersionID: x.VersionID, Action: ofVersion("s3:GetObjectTagging", x.VersionID)})
			}
		}
		owner := objectOwner(x.Bucket, v)
		r.carriesACL = r.Op.Carries&SetACL != 0 && slices.ContainsFunc(v.ACL.Grants, func(g meta.Grant) bool { return g.Grantee != owner })
	}
	return needs, nil
}

// action returns the policy action that the request needs.
func (op *Operation) action(r *Request) string {
	if op.VersionAction != "" && r.VersionID() != "" {
		return op.VersionAction
	}
	return op.Action
}

// question is one access in the terms of package policy, and the error if its
// object was not found.
type question struct {
	policy.Access
	missing bool
	gone    error
}

// allowed decides one access.
func (a *API) allowed(r *Request, x *Access) error {
	e, err := a.evaluator(r, x.Bucket)
	if err != nil {
		return err
	}
	q := &question{Access: policy.Access{Action: x.Action, Key: x.Key, Context: accessContext(r, x)}}
	if x.Key != "" && !x.New {
		q.Object = func() (*policy.ObjectFacts, error) { return a.objectFacts(r, x, q) }
	}
	d, err := e.Decide(q.Access)
	if err != nil {
		return err
	}
	x.byACL = d.ByACL
	if d.Allowed || x.DenyOnly && !d.Explicit {
		return nil
	}
	a.log.Debug("refused", zap.String("request", r.ID), zap.String("action", x.Action), zap.String("reason", d.Reason))
	if q.missing && !d.Explicit {
		if may, err := e.MayList(x.Key); err == nil && may.Allowed {
			return q.gone
		}
	}
	return fail(s3err.AccessDenied)
}

// evaluators are the evaluators of a request, by bucket.
type evaluators map[*meta.Bucket]*policy.Evaluator

// evaluator returns the evaluator of a bucket, or of requests without one. A
// request has one for each bucket. It evaluates once what is the same for all
// accesses to the bucket, such as its ACL and most conditions of its policy.
func (a *API) evaluator(r *Request, b *meta.Bucket) (*policy.Evaluator, error) {
	if e, ok := r.evaluators[b]; ok {
		return e, nil
	}
	var facts policy.BucketFacts
	var c policy.Context
	var err error
	if b != nil {
		if facts, err = a.bucketFacts(b); err != nil {
			return nil, err
		}
	}
	if facts.Policy != nil {
		if c, err = a.policyContext(r, b); err != nil {
			return nil, err
		}
	}
	if r.evaluators == nil {
		r.evaluators = evaluators{}
	}
	e := policy.NewEvaluator(policy.Principal{
		ID: r.Caller.Tenant, Groups: r.Caller.Groups, Master: r.Caller.Master,
		Anonymous: r.Caller.Anonymous(), AccessKey: r.Caller.AccessKey,
	}, facts, c, a.options.Now())
	r.evaluators[b] = e
	return e, nil
}

func (a *API) objectFacts(r *Request, x *Access, q *question) (*policy.ObjectFacts, error) {
	found, err := a.store.Find(r.Context(), x.Bucket, x.Key, x.VersionID)
	if missing(err) {
		q.missing, q.gone = true, err
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	x.found = found
	if x.Bucket == r.Bucket && x.Key == r.Key && x.VersionID == r.VersionID() {
		r.found = found // so that the handler does not read it again
	}
	v := found.Version
	facts := &policy.ObjectFacts{Owner: objectOwner(x.Bucket, v), ACL: toPolicyACL(v.ACL), Tags: map[string]string{}}
	for _, t := range v.Tags {
		facts.Tags[t.Key] = t.Value
	}
	return facts, nil
}

// version reads a version without its body, so that no key is needed.
func (a *API) version(ctx context.Context, b *meta.Bucket, key, id string) (*meta.Version, string, error) {
	f, err := a.store.Find(ctx, b, key, id)
	if err != nil {
		return nil, "", err
	}
	return f.Version, store.VersionID(f.Bucket, f.Version), nil
}

// bucketFacts returns a bucket in the terms of package policy.
func (a *API) bucketFacts(b *meta.Bucket) (policy.BucketFacts, error) {
	f := policy.BucketFacts{
		Name: b.Name, Owner: b.Owner, ACL: toPolicyACL(b.Config.ACL), Ownership: policy.Ownership(ownership(b)),
	}
	var err error
	if f.PublicAccessBlock, err = publicAccessBlock(b); err != nil {
		return f, err
	}
	if text := b.Config.Documents[docPolicy]; text != nil {
		f.Policy, err = a.policies.get(b, text, a.parsePolicy(b))
	}
	return f, err
}

// policiesBytes is the maximum memory for parsed policies.
const policiesBytes = 32 << 20

// parsePolicy parses a bucket's policy for the cache.
func (a *API) parsePolicy(b *meta.Bucket) func([]byte) (*policy.Policy, int, error) {
	return func(text []byte) (*policy.Policy, int, error) {
		p, why := policy.ParseStored(text)
		if why != nil {
			a.log.Warn("stored bucket policy is invalid; its undecidable statements deny until the policy is replaced",
				zap.String("bucket", b.Name), zap.Error(why))
		}
		return p, p.Bytes(), nil
	}
}

// hideMissing returns AccessDenied in place of NoSuchKey and NoSuchVersion if the
// caller may not list the bucket: it must not learn which objects exist.
func (a *API) hideMissing(r *Request, err error) error {
	code := s3err.CodeOf(err)
	if r.Op.Scope != ScopeObject || r.Bucket == nil || code != s3err.NoSuchKey && code != s3err.NoSuchVersion || errors.Is(err, errNoTorrent) {
		return err
	}
	e, eerr := a.evaluator(r, r.Bucket)
	if eerr != nil {
		return eerr
	}
	if may, merr := e.MayList(r.Key); merr != nil || !may.Allowed {
		return fail(s3err.AccessDenied)
	}
	return err
}

// Kinds of object ownership.
const (
	ownerEnforced  = string(policy.BucketOwnerEnforced)
	ownerPreferred = string(policy.BucketOwnerPreferred)
	objectWriter   = string(policy.ObjectWriter)
)

// ownership returns the object ownership of a bucket. Without any, ACLs are
// enabled, as clients like s3cmd expect. The configured default is written into
// buckets when they are created, so that a change of it does not change existing
// buckets.
func ownership(b *meta.Bucket) string {
	if b.Config.Ownership == "" {
		return objectWriter
	}
	return b.Config.Ownership
}

func knownOwnership(v string) bool {
	return v == ownerEnforced || v == ownerPreferred || v == objectWriter
}
