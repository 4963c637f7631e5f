package s3api

import "github.com/pithos/pithos/meta"

// Access is one thing that a request does to one resource.
type Access struct {
	Bucket *meta.Bucket
	// Key is "" for the bucket itself.
	Key, VersionID string
	Action         string
	// Each says that a refusal concerns this resource alone: it goes to Err,
	// and the request goes on. It is for DeleteObjects.
	Each bool
	// Err is why this access is refused; nil if it is not.
	Err error
}

// authorize asks whether the caller may do all that the row says the request
// does. AccessDenied.
func (a *API) authorize(r *Request) error {
	var all []Access
	if action := r.Op.action(r); action != "" && !r.Op.Public {
		all = append(all, Access{Bucket: r.Bucket, Key: r.Key, VersionID: r.VersionID(), Action: action})
	}
	primary := len(all)
	if r.Op.Resources != nil {
		more, err := r.Op.Resources(a, r)
		if err != nil {
			return err
		}
		all = append(all, more...)
	}
	for i := range all {
		err := a.allowed(r, &all[i])
		if err != nil && !all[i].Each {
			return err
		}
		all[i].Err = err
	}
	r.Resources = all[primary:]
	return nil
}

// action is the policy action that the request needs.
func (op *Operation) action(r *Request) string {
	if op.VersionAction != "" && r.VersionID() != "" {
		return op.VersionAction
	}
	return op.Action
}

// allowed asks about one access.
func (a *API) allowed(r *Request, x *Access) error {
	switch {
	case r.Caller.Master:
		return nil
	case x.Bucket == nil && !r.Caller.Anonymous():
		return nil // listing one's own buckets, making a new one
	case x.Bucket != nil && !r.Caller.Anonymous() && x.Bucket.Owner == r.Caller.Tenant:
		return nil
	}
	return fail("AccessDenied")
}

const ownerEnforced = "BucketOwnerEnforced"

// ownership is the object ownership of a bucket; one that says nothing keeps
// ACLs alive, as buckets made with s3cmd and its like expect.
func ownership(b *meta.Bucket) string {
	if b.Config.Ownership == "" {
		return "ObjectWriter"
	}
	return b.Config.Ownership
}
