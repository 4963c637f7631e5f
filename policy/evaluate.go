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

// Request is the question. A request upon a bucket has no Key; of
// s3:ListAllMyBuckets and s3:CreateBucket the bucket does not matter.
type Request struct {
	Principal Principal
	Action    string // as "s3:GetObject", one that [KnownAction] knows
	Bucket    BucketFacts
	Key       string
	// Object loads the facts of the object Key; (nil, nil) says that there is
	// none. It is called once at most. Where it is nil there is no object, or
	// it is the bucket owner's, with neither ACL nor tags.
	Object  func() (*ObjectFacts, error)
	Context Context
	// Time is when the request came, for aws:CurrentTime.
	Time time.Time
}

// uponNone are the actions that are upon no bucket there is.
var uponNone = []string{"s3:CreateBucket", "s3:ListAllMyBuckets"}

func (r *Request) resource() string {
	if r.Key == "" {
		return r.Bucket.Name
	}
	return r.Bucket.Name + "/" + r.Key
}

// ownPolicy are the actions upon the policy itself, which no policy can take
// from the bucket's owner.
var ownPolicy = []string{"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"}

// Evaluate decides a request, as the package's documentation says. Its only
// errors are those of Request.Object; the Decision then refuses.
func Evaluate(r Request) (Decision, error) {
	if r.Principal.Anonymous {
		r.Principal = Principal{Anonymous: true}
	}
	e := &evaluation{Request: &r}
	d := e.decide()
	if e.err != nil {
		return refuse("the object's facts could not be loaded"), e.err
	}
	return d, nil
}

// MayList decides whether the requester may learn that the object r.Key does
// not exist: whether it may list the bucket with that key as the prefix. S3
// answers NoSuchKey then, and AccessDenied otherwise.
func MayList(r Request) (Decision, error) {
	context := Context{}
	for key, values := range r.Context {
		context[key] = values
	}
	context.Set("s3:prefix", r.Key)
	r.Action, r.Key, r.Object, r.Context = "s3:ListBucket", "", nil, context
	return Evaluate(r)
}

// evaluation is a request in the course of being decided.
type evaluation struct {
	*Request
	number int // of the action
	object *ObjectFacts
	loaded bool
	err    error // of loading the object
}

func (e *evaluation) decide() Decision {
	var known bool
	e.number, known = actionNumber(e.Action)
	switch {
	case e.Principal.Master:
		return allow("a master key may do everything")
	case !known:
		return refuse("unknown action %q", e.Action)
	case slices.Contains(uponNone, e.Action):
		return e.decideService()
	case e.Bucket.Name == "":
		return refuse("%s is upon a bucket, and none is named", e.Action)
	}
	owner := e.Principal.is(e.Bucket.Owner)
	if owner && e.Principal.User == "" && slices.Contains(ownPolicy, e.Action) {
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

// decideService decides what is upon no bucket: listing one's own and making
// new ones.
func (e *evaluation) decideService() Decision {
	if e.Principal.Anonymous || e.Principal.ID == "" {
		return refuse("%s needs credentials", e.Action)
	}
	return allow("every tenant may %s", e.Action)
}

// restricted reports whether RestrictPublicBuckets takes the policy's grants
// from this principal.
func (e *evaluation) restricted() bool {
	return e.Bucket.PublicAccessBlock.RestrictPublicBuckets && e.Principal.Service == "" &&
		!e.Principal.is(e.Bucket.Owner) && e.Bucket.Policy.IsPublic()
}

func (e *evaluation) decideACL() Decision {
	if e.Bucket.Ownership == BucketOwnerEnforced {
		return refuse("no rule allows %s on %s, and ACLs are disabled (BucketOwnerEnforced)", e.Action, e.resource())
	}
	acl, owner, what := e.Bucket.ACL, e.Bucket.Owner, "bucket"
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
		if want != Read && e.Principal.is(owner) {
			return allow("an object's owner may always read and write its ACL")
		}
	}
	g, ok := acl.grants(e.Principal, owner, want, e.Bucket.PublicAccessBlock.IgnorePublicAcls)
	if !ok {
		return refuse("no rule allows %s on %s, and the %s's ACL does not grant %s", e.Action, e.resource(), what, want)
	}
	return allow("the %s's ACL grants %s to %s", what, g.Permission, g.Grantee)
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
	return e.Bucket.Ownership == BucketOwnerEnforced || e.objectOwner() == e.Bucket.Owner
}

func (e *evaluation) objectOwner() string {
	if object := e.facts(); object != nil && object.Owner != "" {
		return object.Owner
	}
	return e.Bucket.Owner
}

// find returns a statement of that effect that applies, nil where none does.
func (e *evaluation) find(deny bool) *Statement {
	if e.Bucket.Policy == nil {
		return nil
	}
	for i := range e.Bucket.Policy.Statements {
		if s := &e.Bucket.Policy.Statements[i]; s.Deny == deny && s.applies(e) {
			return s
		}
	}
	return nil
}

func (s *Statement) applies(e *evaluation) bool {
	if s.who.contain(e.Principal) == s.notWho || !s.actions.has(e.number) || !s.reaches(e) {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(e, s.Deny) {
			return false
		}
	}
	return true
}

func (s *Statement) covers(action string) bool {
	number, ok := actionNumber(action)
	return ok && s.actions.has(number)
}

// reaches reports whether the statement is about the request's resource. A
// resource with a variable that has no value is nothing; in a NotResource
// that speaks against the requester, not for it.
func (s *Statement) reaches(e *evaluation) bool {
	path := e.resource()
	for i := range s.resources {
		res := &s.resources[i]
		if res.undecidable && !s.notOn && s.Deny {
			return true
		}
		met, known := res.matches(path, e.variable)
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
	return values[0], true
}

// values are those of a condition key, none where it does not apply.
func (e *evaluation) values(key string) []string {
	if k := findKey(key); k == nil || !k.carriers.has(e.number) {
		return nil
	}
	if tag, ok := strings.CutPrefix(key, existingTag); ok {
		if object := e.facts(); object != nil {
			if value, ok := object.Tags[tag]; ok {
				return []string{value}
			}
		}
		return nil
	}
	switch key {
	case "aws:principaltype":
		return []string{e.Principal.kind()}
	case "aws:userid":
		return present(e.Principal.userID())
	case "aws:principalaccount":
		return present(e.Principal.ID)
	case "aws:principalarn":
		return present(e.Principal.arn())
	case "aws:principalisawsservice":
		return []string{strconv.FormatBool(e.Principal.Service != "")}
	case "aws:viaawsservice":
		return []string{"false"} // no service makes requests in the name of others
	case "aws:resourceaccount", "s3:resourceaccount":
		return present(e.Bucket.Owner)
	case "aws:currenttime":
		if !e.Time.IsZero() {
			return []string{e.Time.UTC().Format(time.RFC3339Nano)}
		}
	case "aws:epochtime":
		if !e.Time.IsZero() {
			return []string{strconv.FormatInt(e.Time.Unix(), 10)}
		}
	}
	return e.Context[key]
}

func present(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}
