package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Decision is the answer, and why. The zero Decision refuses.
type Decision struct {
	Allowed bool
	// Explicit says that a Deny statement refused.
	Explicit bool
	// ByACL says that an ACL allowed it: neither ownership nor a policy did.
	ByACL bool
	// Reason is for logs and operators; it holds no secret, but names rules
	// that the requester may not know.
	Reason string
}

func allow(format string, args ...any) Decision {
	return Decision{Allowed: true, Reason: fmt.Sprintf(format, args...)}
}

func refuse(format string, args ...any) Decision {
	return Decision{Reason: fmt.Sprintf(format, args...)}
}

// Ownership is a bucket's object ownership.
type Ownership string

// The kinds of object ownership. "" is as ObjectWriter.
const (
	BucketOwnerEnforced  Ownership = "BucketOwnerEnforced"
	BucketOwnerPreferred Ownership = "BucketOwnerPreferred"
	ObjectWriter         Ownership = "ObjectWriter"
)

// BucketFacts is what is to be known of the bucket.
type BucketFacts struct {
	Name              string
	Owner             string // canonical id
	ACL               ACL
	Policy            *Policy // nil where it has none
	Ownership         Ownership
	PublicAccessBlock PublicAccessBlock
}

// ObjectFacts is what is to be known of an object, or of the version of it
// that the request names.
type ObjectFacts struct {
	Owner string // canonical id; "" is the bucket's owner
	ACL   ACL
	Tags  map[string]string
}

// Evaluator decides what one requester may do in one bucket within one
// request. What does not depend on the key is decided once: a DeleteObjects
// asks for a thousand keys, and each could cost what the whole policy costs. It
// must not be used concurrently.
type Evaluator struct {
	principal Principal
	bucket    BucketFacts
	context   Context
	time      time.Time

	work     work
	operands map[string][]*operand      // of keys that are not Own
	relevant map[relevance][]*Statement // those that apply as far as Own keys and resources are left aside
}

type relevance struct {
	action int
	deny   bool
}

// NewEvaluator returns an Evaluator for requests of p, in a context that holds
// all keys but those that are [Key].Own. at is when the request came, for
// aws:CurrentTime. Of s3:ListAllMyBuckets and s3:CreateBucket the bucket does
// not matter.
func NewEvaluator(p Principal, bucket BucketFacts, context Context, at time.Time) *Evaluator {
	if p.Anonymous {
		p = Principal{Anonymous: true}
	}
	return &Evaluator{
		principal: p, bucket: bucket, context: context, time: at, work: work{left: maxWork},
		operands: map[string][]*operand{}, relevant: map[relevance][]*Statement{},
	}
}

// Access is one question of a request. One about a bucket has no Key.
type Access struct {
	Action string // as "s3:GetObject", one that [KnownAction] knows
	Key    string
	// Object loads the facts of the object Key; (nil, nil) says that there is
	// none. It is called once at most. Where it is nil there is no object, or
	// it is the bucket owner's, with neither ACL nor tags.
	Object func() (*ObjectFacts, error)
	// Context holds the keys that are [Key].Own.
	Context Context
}

// serviceActions are the actions that concern no existing bucket.
var serviceActions = []string{"s3:CreateBucket", "s3:ListAllMyBuckets"}

func (e *evaluation) resource() string {
	if e.Key == "" {
		return e.bucket.Name
	}
	return e.bucket.Name + "/" + e.Key
}

// ownPolicy are the actions on the policy itself, which no policy can take
// from the bucket's owner.
var ownPolicy = []string{"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"}

// Decide answers a question, as the package's documentation says. Its only
// errors are those of Access.Object; the Decision then refuses. It refuses also
// where the policy has cost too much for this request's questions.
func (e *Evaluator) Decide(a Access) (Decision, error) {
	v := &evaluation{Evaluator: e, Access: a}
	d := v.decide()
	if v.err != nil {
		return refuse("the object's facts could not be loaded"), v.err
	}
	if e.work.left < 0 {
		return Decision{Explicit: true, Reason: "the bucket policy costs too much to be evaluated for this request"}, nil
	}
	return d, nil
}

// MayList decides whether the requester may learn that the object key does not
// exist: whether it may list the bucket with that key as the prefix. S3 answers
// NoSuchKey then, and AccessDenied otherwise.
func (e *Evaluator) MayList(key string) (Decision, error) {
	prefix := Context{}
	prefix.Set("s3:prefix", key)
	return e.Decide(Access{Action: "s3:ListBucket", Context: prefix})
}

// evaluation is a question in the course of being decided.
type evaluation struct {
	*Evaluator
	Access
	number int                   // of the action
	own    map[string][]*operand // of keys that are Own
	object *ObjectFacts
	loaded bool
	err    error // of loading the object
}

func (e *evaluation) decide() Decision {
	var known bool
	e.number, known = actionNumber(e.Action)
	switch {
	case e.principal.Master:
		return allow("a master key may do everything")
	case !known:
		return refuse("unknown action %q", e.Action)
	case slices.Contains(serviceActions, e.Action):
		return e.decideService()
	case e.bucket.Name == "":
		return refuse("%s is an action on a bucket, and none is named", e.Action)
	}
	owner := e.principal.is(e.bucket.Owner)
	if owner && e.principal.User == "" && slices.Contains(ownPolicy, e.Action) {
		return allow("a bucket's owner may always manage its policy")
	}
	if s := e.find(true); s != nil {
		return Decision{Explicit: true, Reason: "denied by " + s.name()}
	}
	// Of an object of another tenant, the bucket's owner and policy give
	// nothing that the object's own ACL rules.
	_, byACL := onObject[e.Action]
	foreign := byACL && !e.ownedByBucket()
	if owner && !foreign {
		return allow("the bucket's owner")
	}
	if s := e.find(false); s != nil && !foreign {
		if !e.restricted() {
			return allow("allowed by %s", s.name())
		}
	}
	return e.decideACL()
}

// decideService decides the actions that concern no bucket: listing one's own and making
// new ones.
func (e *evaluation) decideService() Decision {
	if e.principal.Anonymous || e.principal.ID == "" {
		return refuse("%s needs credentials", e.Action)
	}
	return allow("every tenant may %s", e.Action)
}

// restricted reports whether RestrictPublicBuckets takes the policy's grants
// from this principal.
func (e *Evaluator) restricted() bool {
	return e.bucket.PublicAccessBlock.RestrictPublicBuckets && e.principal.Service == "" &&
		!e.principal.is(e.bucket.Owner) && e.bucket.Policy.IsPublic()
}

func (e *evaluation) decideACL() Decision {
	if e.bucket.Ownership == BucketOwnerEnforced {
		return refuse("no rule allows %s on %s, and ACLs are disabled (BucketOwnerEnforced)", e.Action, e.resource())
	}
	acl, owner, what := e.bucket.ACL, e.bucket.Owner, "bucket"
	want, ok := onBucket[e.Action]
	if !ok {
		if want, ok = onObject[e.Action]; !ok {
			return refuse("no rule allows %s on %s", e.Action, e.resource())
		}
		object := e.facts()
		if object == nil {
			return refuse("no rule allows %s on %s, and there is no object", e.Action, e.resource())
		}
		acl, owner, what = object.ACL, e.objectOwner(), "object"
		if want != Read && e.principal.is(owner) {
			return allow("an object's owner may always read and write its ACL")
		}
	}
	g, ok := acl.grants(e.principal, owner, want, e.bucket.PublicAccessBlock.IgnorePublicAcls)
	if !ok {
		return refuse("no rule allows %s on %s, and the %s's ACL does not grant %s", e.Action, e.resource(), what, want)
	}
	d := allow("the %s's ACL grants %s to %s", what, g.Permission, g.Grantee)
	d.ByACL = true
	return d
}

// facts loads the object, once; it is nil where there is none.
func (e *evaluation) facts() *ObjectFacts {
	if !e.loaded && e.Object != nil {
		e.object, e.err = e.Object()
	}
	e.loaded = true
	if e.err != nil {
		return nil
	}
	return e.object
}

// ownedByBucket reports whether the object, if there is one, is the bucket
// owner's.
func (e *evaluation) ownedByBucket() bool {
	return e.bucket.Ownership == BucketOwnerEnforced || e.objectOwner() == e.bucket.Owner
}

func (e *evaluation) objectOwner() string {
	if object := e.facts(); object != nil && object.Owner != "" {
		return object.Owner
	}
	return e.bucket.Owner
}

// find returns a statement of that effect that applies, nil where none does.
func (e *evaluation) find(deny bool) *Statement {
	if e.bucket.Policy == nil {
		return nil
	}
	which := relevance{e.number, deny}
	relevant, ok := e.relevant[which]
	if !ok {
		relevant = e.choose(which)
		e.relevant[which] = relevant
	}
	path := e.resource()
	for _, s := range relevant {
		if s.reaches(e, path) && s.meets(e, true) {
			return s
		}
	}
	return nil
}

// choose finds the statements whose principals, actions and conditions on
// keys that are not Own apply.
func (e *evaluation) choose(which relevance) (relevant []*Statement) {
	for i := range e.bucket.Policy.Statements {
		s := &e.bucket.Policy.Statements[i]
		if s.Deny == which.deny && s.actions.has(which.action) && s.principals.contain(e.principal) != s.notPrincipals && s.meets(e, false) {
			relevant = append(relevant, s)
		}
	}
	return relevant
}

// meets reports whether the conditions hold that depend on Own keys, or the
// others.
func (s *Statement) meets(e *evaluation, own bool) bool {
	for i := range s.conditions {
		if c := &s.conditions[i]; c.own == own && !c.holds(e, s.Deny) {
			return false
		}
	}
	return true
}

// reaches reports whether the statement is about the request's resource. A
// resource with a variable that has no value is nothing; in a NotResource
// that speaks against the requester, not for it.
func (s *Statement) reaches(e *evaluation, path string) bool {
	for i := range s.resources {
		res := &s.resources[i]
		if res.undecidable && !s.notOn && s.Deny {
			return true
		}
		met, known := res.matches(path, &e.work, e.variable)
		known = known && !res.undecidable
		if !known && s.notOn && !s.Deny {
			return false
		}
		if known && met {
			return !s.notOn
		}
	}
	return s.notOn
}

// variable is the value of a policy variable; a key with several has none.
func (e *evaluation) variable(key string) (string, bool) {
	values := e.values(key)
	if len(values) != 1 {
		return "", false
	}
	return values[0].text, true
}

// values are those of a condition key, none where it does not apply.
func (e *evaluation) values(key string) []*operand {
	k := findKey(key)
	if k == nil || !k.carriers.has(e.number) {
		return nil
	}
	if tag, ok := strings.CutPrefix(key, existingTag); ok {
		if object := e.facts(); object != nil {
			if value, ok := object.Tags[tag]; ok {
				return []*operand{{text: value}}
			}
		}
		return nil
	}
	if !k.Own {
		return remember(e.operands, key, e.valuesOf)
	}
	if e.own == nil {
		e.own = map[string][]*operand{}
	}
	return remember(e.own, key, func(key string) []string { return e.Access.Context[key] })
}

// remember makes operands of a key's values once.
func remember(known map[string][]*operand, key string, valuesOf func(string) []string) []*operand {
	values, ok := known[key]
	if !ok {
		for _, text := range valuesOf(key) {
			values = append(values, &operand{text: text})
		}
		known[key] = values
	}
	return values
}

// valuesOf are those of a key that is not Own. The context does not speak for
// the principal, the bucket and the time.
func (e *Evaluator) valuesOf(key string) []string {
	switch key {
	case "aws:principaltype":
		return []string{e.principal.kind()}
	case "aws:userid":
		return present(e.principal.userID())
	case "aws:principalaccount":
		return present(e.principal.ID)
	case "aws:principalarn":
		return present(e.principal.arn())
	case "aws:principalisawsservice":
		return []string{strconv.FormatBool(e.principal.Service != "")}
	case "aws:viaawsservice":
		return []string{"false"} // no service makes requests in the name of others
	case "aws:resourceaccount", "s3:resourceaccount":
		return present(e.bucket.Owner)
	case "aws:currenttime":
		if !e.time.IsZero() {
			return []string{e.time.UTC().Format(time.RFC3339Nano)}
		}
	case "aws:epochtime":
		if !e.time.IsZero() {
			return []string{strconv.FormatInt(e.time.Unix(), 10)}
		}
	}
	return e.context[key]
}

func present(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}
