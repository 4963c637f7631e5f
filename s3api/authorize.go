package s3api

import (
	"context"
	"slices"

	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/policy"
	"github.com/pithos/pithos/store"
)

// Access is one thing that a request does to one resource.
type Access struct {
	Bucket *meta.Bucket
	// Key is "" for the bucket itself.
	Key, VersionID string
	Action         string
	// IfMatch is the ETag that the key of a DeleteObjects must have; none
	// where it does not matter.
	IfMatch []string
	// Each says that a refusal concerns this resource alone: it goes to Err,
	// and the request goes on. It is for DeleteObjects.
	Each bool
	// Implied says that only an explicit Deny refuses it: it is part of
	// another access, which was allowed.
	Implied bool
	// Err is why this access is refused; nil if it is not.
	Err error

	found *store.Found // the version that was looked up to decide, if it was
}

// authorize asks whether the caller may do all that the row says the request
// does. AccessDenied; NoSuchKey where the caller may know that.
func (a *API) authorize(r *Request) error {
	var all []Access
	if action := r.Op.action(r); action != "" && !r.Op.Public {
		all = append(all, Access{Bucket: r.Bucket, Key: r.Key, VersionID: r.VersionID(), Action: action})
	}
	all = append(all, byHeaders(r)...)
	primary := len(all)
	if err := a.possible(r); err != nil {
		return err
	}
	if r.Op.Resources != nil {
		more, err := r.Op.Resources(a, r)
		if err != nil {
			return err
		}
		all = append(all, more...)
	}
	for i := range all {
		if err := r.Context().Err(); err != nil {
			return err // nobody waits for the answer
		}
		err := a.allowed(r, &all[i])
		if err != nil && !all[i].Each {
			return err
		}
		all[i].Err = err
	}
	r.Resources = all[primary:]
	return nil
}

// possible refuses a request whose caller has no chance to be allowed what the
// row's Possible says: before its body is read.
func (a *API) possible(r *Request) error {
	if len(r.Op.Possible) == 0 {
		return nil
	}
	e, err := a.evaluator(r, r.Bucket)
	if err != nil {
		return err
	}
	if !e.Possible(r.Op.Possible...) {
		return fail("AccessDenied")
	}
	return nil
}

// byHeaders is what the headers of a write do besides: they set what has
// operations and actions of its own.
func byHeaders(r *Request) (all []Access) {
	if r.Op.Action != "s3:PutObject" {
		return nil
	}
	add := func(action string, implied bool) {
		all = append(all, Access{Bucket: r.Bucket, Key: r.Key, Action: action, Implied: implied})
	}
	if _, canned := r.Header["X-Amz-Acl"]; canned || slices.ContainsFunc(grantHeaders, func(g grantHeader) bool { return r.Header[g.header] != nil }) {
		add("s3:PutObjectAcl", true)
	}
	if r.Header.Get("X-Amz-Tagging") != "" {
		add("s3:PutObjectTagging", true)
	}
	if r.Header.Get("X-Amz-Object-Lock-Mode") != "" || r.Header.Get("X-Amz-Object-Lock-Retain-Until-Date") != "" {
		add("s3:PutObjectRetention", false)
	}
	if r.Header.Get("X-Amz-Object-Lock-Legal-Hold") != "" {
		add("s3:PutObjectLegalHold", false)
	}
	return all
}

// action is the policy action that the request needs.
func (op *Operation) action(r *Request) string {
	if op.VersionAction != "" && r.VersionID() != "" {
		return op.VersionAction
	}
	return op.Action
}

// question is one access in the terms of package policy, and whether its
// object was looked for and not found.
type question struct {
	policy.Access
	missing bool
	gone    error
}

// allowed asks about one access.
func (a *API) allowed(r *Request, x *Access) error {
	e, err := a.evaluator(r, x.Bucket)
	if err != nil {
		return err
	}
	q := &question{Access: policy.Access{Action: x.Action, Key: x.Key, Context: accessContext(r, x)}}
	if x.Key != "" {
		q.Object = func() (*policy.ObjectFacts, error) { return a.objectFacts(r, x, q) }
	}
	d, err := e.Decide(q.Access)
	if err != nil {
		return err
	}
	if d.Allowed || x.Implied && !d.Explicit {
		return nil
	}
	a.log.Debug("refused", zap.String("request", r.ID), zap.String("action", x.Action), zap.String("reason", d.Reason))
	if q.missing && !d.Explicit {
		if may, err := e.MayList(x.Key); err == nil && may.Allowed {
			return q.gone
		}
	}
	return fail("AccessDenied")
}

// evaluators are those of a request, by bucket.
type evaluators map[*meta.Bucket]*policy.Evaluator

// evaluator decides about a bucket, or about none. There is one for each bucket
// in a request: what is the same for all that the request touches there, as the
// bucket's ACL and most conditions of its policy, is decided once.
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
	if isKind(err, store.NoSuchKey) || isKind(err, store.NoSuchVersion) || isKind(err, store.MethodNotAllowed) {
		q.missing, q.gone = true, err
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	x.found = found
	if x.Bucket == r.Bucket && x.Key == r.Key && x.VersionID == r.VersionID() {
		r.found = found // the handler need not read it again
	}
	v := found.Version
	facts := &policy.ObjectFacts{Owner: objectOwner(x.Bucket, v), ACL: toPolicyACL(v.ACL), Tags: map[string]string{}}
	for _, t := range v.Tags {
		facts.Tags[t.Key] = t.Value
	}
	return facts, nil
}

// version looks a version up whatever it is encrypted with.
func (a *API) version(ctx context.Context, b *meta.Bucket, key, id string) (*meta.Version, string, error) {
	f, err := a.store.Find(ctx, b, key, id)
	if err != nil {
		return nil, "", err
	}
	return f.Version, store.VersionID(f.Bucket, f.Version), nil
}

// bucketFacts is what package policy wants to know of a bucket.
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

// policiesBytes is the most memory for parsed policies.
const policiesBytes = 32 << 20

// parsePolicy parses a bucket's policy for the cache.
func (a *API) parsePolicy(b *meta.Bucket) func([]byte) (*policy.Policy, int, error) {
	return func(text []byte) (*policy.Policy, int, error) {
		p, why := policy.ParseStored(text)
		if why != nil {
			a.log.Warn("a bucket policy is not valid any more: what cannot be decided is denied until it is put again",
				zap.String("bucket", b.Name), zap.Error(why))
		}
		return p, p.Bytes(), nil
	}
}

// hideMissing keeps from callers who may not list the bucket that an object
// is not there.
func (a *API) hideMissing(r *Request, err error) error {
	if r.Op.Scope != ScopeObject || r.Bucket == nil || !isKind(err, store.NoSuchKey) && !isKind(err, store.NoSuchVersion) {
		return err
	}
	e, eerr := a.evaluator(r, r.Bucket)
	if eerr != nil {
		return eerr
	}
	if may, merr := e.MayList(r.Key); merr != nil || !may.Allowed {
		return fail("AccessDenied")
	}
	return err
}

// Kinds of object ownership.
const (
	ownerEnforced  = string(policy.BucketOwnerEnforced)
	ownerPreferred = string(policy.BucketOwnerPreferred)
	objectWriter   = string(policy.ObjectWriter)
)

// ownership is the object ownership of a bucket; one that says nothing keeps
// ACLs alive, as buckets made with s3cmd and its like expect.
func ownership(b *meta.Bucket) string {
	if b.Config.Ownership == "" {
		return objectWriter
	}
	return b.Config.Ownership
}

func knownOwnership(v string) bool {
	return v == ownerEnforced || v == ownerPreferred || v == objectWriter
}
