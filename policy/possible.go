package policy

import "slices"

// Possible reports whether Evaluate may allow the requester any of the actions
// on some key of the bucket: on which key, and under which conditions, is left
// open, and r.Action, r.Key, r.Object and r.Context are not looked at. Where it
// says no, Evaluate refuses each of these actions on each key.
//
// It is for requests whose body names the keys: those who can have no right are
// refused before the body is read. The actions must be ruled by the bucket's
// policy and ACL alone, not by the ACL of an object.
func Possible(r Request, actions ...string) bool {
	p := r.Principal
	if p.Anonymous {
		p = Principal{Anonymous: true}
	}
	if p.Master || p.is(r.Bucket.Owner) {
		return true
	}
	r.Principal = p
	e := evaluation{Request: &r}
	if r.Bucket.Policy != nil && !e.restricted() && r.Bucket.Policy.mayAllow(p, actions) {
		return true
	}
	if r.Bucket.Ownership == BucketOwnerEnforced {
		return false
	}
	return slices.ContainsFunc(actions, func(action string) bool {
		want, ok := onBucket[action]
		if ok {
			_, ok = r.Bucket.ACL.grants(p, r.Bucket.Owner, want, r.Bucket.PublicAccessBlock.IgnorePublicAcls)
		}
		return ok
	})
}

// mayAllow reports whether a statement allows p any of the actions on something.
func (p *Policy) mayAllow(who Principal, actions []string) bool {
	return slices.ContainsFunc(p.Statements, func(s Statement) bool {
		return !s.Deny && s.who.contain(who) != s.notWho &&
			slices.ContainsFunc(actions, s.covers)
	})
}
