package policy

import "slices"

// Possible reports whether Decide may allow the requester any of the actions
// on some key of the bucket: on which key, and under which conditions, is left
// open. Where it says no, Decide refuses each of these actions on each key.
//
// It is for requests whose body names the keys: those who can have no right are
// refused before the body is read. The actions must be ruled by the bucket's
// policy and ACL alone, not by the ACL of an object.
func (e *Evaluator) Possible(actions ...string) bool {
	if e.principal.Master || e.principal.is(e.bucket.Owner) {
		return true
	}
	if e.bucket.Policy != nil && !e.restricted() && e.bucket.Policy.mayAllow(e.principal, actions) {
		return true
	}
	if e.bucket.Ownership == BucketOwnerEnforced {
		return false
	}
	return slices.ContainsFunc(actions, func(action string) bool {
		want, ok := onBucket[action]
		if ok {
			_, ok = e.bucket.ACL.grants(e.principal, e.bucket.Owner, want, e.bucket.PublicAccessBlock.IgnorePublicAcls)
		}
		return ok
	})
}

// mayAllow reports whether a statement allows p any of the actions on something.
func (p *Policy) mayAllow(who Principal, actions []string) bool {
	return slices.ContainsFunc(p.Statements, func(s Statement) bool {
		return !s.Deny && s.principals.contain(who) != s.notPrincipals && slices.ContainsFunc(actions, s.covers)
	})
}

func (s *Statement) covers(action string) bool {
	number, ok := actionNumber(action)
	return ok && s.actions.has(number)
}
