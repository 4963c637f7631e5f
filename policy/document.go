package policy

import (
	"fmt"
	"slices"
	"strings"
)

// MaxBytes is the longest that a bucket policy may be: 20 KB.
const MaxBytes = 20 << 10

// MaxVariables is how often a bucket policy may name a variable: each time
// costs a copy of what can be a long header.
const MaxVariables = 100

// MaxValues is how many values all conditions of a bucket policy may have:
// more than fit where each is an address or an account, and each takes a
// hundred times the memory of its text.
const MaxValues = 2500

// Policy is a bucket policy that [Parse] has read. It does not change and may
// be used concurrently; it is meant to be parsed once and kept.
type Policy struct {
	ID         string
	Version    string
	Statements []Statement
	public     bool
	tree       *tree // nil in one of ParseStored
}

// Statement is one statement of a policy.
type Statement struct {
	Sid  string
	Deny bool // its Effect; Allow otherwise

	index         int
	principals    principals
	notPrincipals bool      // NotPrincipal
	actions       actionSet // those that it is about
	resources     []resource
	notOn         bool // NotResource
	conditions    []condition
}

type resource struct {
	pattern // of bucket or bucket/key
	node    *node
	// undecidable: it has a variable that no request has.
	undecidable bool
}

// name is how a reason calls the statement.
func (s *Statement) name() string {
	if s.Sid != "" {
		return fmt.Sprintf("statement %q of the bucket policy", s.Sid)
	}
	return fmt.Sprintf("statement %d of the bucket policy", s.index+1)
}

// Parse reads a bucket policy. Its error is a [*MalformedError].
func Parse(text []byte) (*Policy, error) { return parse(text, false) }

// ParseStored reads a bucket policy that was stored, perhaps by a version that
// took what [Parse] refuses now. The policy is always there and never more
// permissive than its text: what cannot be decided is decided against the
// requester. A condition or a resource that depends on a key that no request
// carries holds in a Deny and does not in an Allow; a text that is no policy
// denies everything. The error says what Parse objects to.
func ParseStored(text []byte) (*Policy, error) {
	p, why := parse(text, false)
	if why == nil {
		return p.detached(), nil
	}
	if p, err := parse(text, true); err == nil {
		return p.detached(), why
	}
	denyAll := Statement{Sid: "unreadable", Deny: true, principals: principals{all: true}, actions: allActions(), notOn: true}
	return &Policy{Statements: []Statement{denyAll}}, why
}

// detached is the policy without its text, which only Validate wants.
func (p *Policy) detached() *Policy {
	p.tree = nil
	for _, s := range p.Statements {
		for i := range s.resources {
			s.resources[i].node = nil
		}
	}
	return p
}

func parse(text []byte, stored bool) (*Policy, error) {
	if len(text) > MaxBytes {
		return nil, &MalformedError{Message: fmt.Sprintf("Policy exceeds the maximum allowed document size: it has %d bytes, the limit is %d", len(text), MaxBytes)}
	}
	root, t, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	r := &reader{tree: t, stored: stored}
	p := &Policy{Version: "2008-10-17", tree: t}
	if err := r.document(root, p); err != nil {
		return nil, err
	}
	p.public = slices.ContainsFunc(p.Statements, func(s Statement) bool { return !s.Deny && s.public() })
	return p, nil
}

// reader turns nodes into a policy.
type reader struct {
	*tree
	variables bool        // the version has policy variables
	stored    bool        // see ParseStored
	covered   []actionSet // by each entry of the statement's actions
	named     int         // variables so far
	values    int         // of conditions so far
}

func (r *reader) document(root node, p *Policy) error {
	var statements *node
	for _, f := range root.fields {
		switch f.name {
		case "Version":
			p.Version = f.node.text
			if f.node.kind != 's' || (p.Version != "2012-10-17" && p.Version != "2008-10-17") {
				return r.at(f.node, "The policy must contain a valid version string")
			}
		case "Id":
			p.ID = f.node.text
			if f.node.kind != 's' {
				return r.at(f.node, "Expected a string")
			}
		case "Statement":
			statements = &f.node
		default:
			return r.at(f.node, "Unknown field %s", f.name)
		}
	}
	r.variables = p.Version == "2012-10-17"
	if statements == nil {
		return r.at(root, "Missing required field Statement")
	}
	return r.statements(*statements, p)
}

func (r *reader) statements(n node, p *Policy) error {
	list := []node{n}
	if n.kind == '[' {
		list = n.items
	}
	if len(list) == 0 {
		return r.at(n, "Could not parse the policy: Statement is empty!")
	}
	for i, item := range list {
		s := Statement{index: i}
		if err := r.statement(item, &s); err != nil {
			return err
		}
		p.Statements = append(p.Statements, s)
	}
	return nil
}

func (r *reader) statement(n node, s *Statement) error {
	if n.kind != '{' {
		return r.at(n, "Expected a statement in braces")
	}
	seen := map[string]node{}
	for _, f := range n.fields {
		if !slices.Contains(elements, f.name) {
			return r.at(f.node, "Unknown field %s", f.name)
		}
		seen[f.name] = f.node
	}
	if _, ok := seen["Effect"]; !ok {
		return r.at(n, "Missing required field Effect")
	}
	for _, name := range []string{"Principal", "Action", "Resource"} {
		_, has := seen[name]
		not, hasNot := seen["Not"+name]
		if !has && !hasNot {
			return r.at(n, "Missing required field %s", name)
		}
		if has && hasNot {
			return r.at(not, "Statement has both %s and Not%s", name, name)
		}
	}
	for _, name := range elements {
		if value, ok := seen[name]; ok {
			if err := r.element(name, value, s); err != nil {
				return err
			}
		}
	}
	if not, ok := seen["NotPrincipal"]; ok && !s.Deny {
		return r.at(not, "Allow with NotPrincipal is not allowed")
	}
	return nil
}

// elements are those of a statement, in the order in which they are read:
// what may follow depends on the actions.
var elements = []string{"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}

func (r *reader) element(name string, n node, s *Statement) (err error) {
	switch name {
	case "Sid":
		return r.sid(n, s)
	case "Effect":
		return r.effect(n, s)
	case "Principal", "NotPrincipal":
		s.notPrincipals = name == "NotPrincipal"
		return r.principals(n, &s.principals)
	case "Action", "NotAction":
		return r.actions(n, name == "NotAction", s)
	case "Resource", "NotResource":
		s.notOn = name == "NotResource"
		s.resources, err = r.resources(n)
	case "Condition":
		s.conditions, err = r.conditions(n)
	}
	return err
}

// sid need not be unique: S3 takes policies that repeat one.
func (r *reader) sid(n node, s *Statement) error {
	if n.kind != 's' {
		return r.at(n, "Expected a string")
	}
	s.Sid = n.text
	return nil
}

func (r *reader) effect(n node, s *Statement) error {
	if n.kind != 's' || (n.text != "Allow" && n.text != "Deny") {
		return r.at(n, "Invalid effect: %s", n.text)
	}
	s.Deny = n.text == "Deny"
	return nil
}

// actions reads the actions, and keeps what each entry of the list covers: a
// condition key must be one that each of them can carry.
func (r *reader) actions(n node, not bool, s *Statement) error {
	list, err := r.strings(n)
	if err != nil {
		return err
	}
	r.covered = nil
	var all actionSet
	for _, item := range list {
		matched := compileAction(item.text)
		if matched == (actionSet{}) {
			return r.at(item, "Policy has invalid action %q", item.text)
		}
		all = all.union(matched)
		r.covered = append(r.covered, matched)
	}
	if s.actions = all; not {
		s.actions = allActions().without(all)
		r.covered = []actionSet{s.actions}
	}
	return nil
}

// key finds a condition key that the policy names. It refuses one that no
// request carries, or none of an action that the statement names: a Deny that
// depends on it would never apply.
func (r *reader) key(n node, name string) (*Key, error) {
	k := findKey(canonicalKey(name))
	if k == nil {
		return nil, r.at(n, "Policy has an invalid condition key: %s: no request has it", name)
	}
	for _, covered := range r.covered {
		if !covered.meets(k.carriers) {
			return nil, r.at(n, "Conditions do not apply to combination of actions and resources in statement: no request of one of the actions has the condition key %s", name)
		}
	}
	return k, nil
}

// pattern reads a pattern whose variables are condition keys of one value.
// undecidable is one with a variable that no request has, in a policy that
// was stored.
func (r *reader) pattern(n node, text string, build func([]rune) matcher, wild bool) (pat pattern, undecidable bool, err error) {
	pat, err = compile(text, build, wild, r.variables)
	if err != nil {
		return pat, false, r.at(n, "Policy has an invalid value: %v", err)
	}
	for _, piece := range pat.pieces {
		if piece.variable == "" {
			continue
		}
		k, err := r.key(n, piece.variable)
		if err == nil && k.several() {
			err = r.at(n, "Policy has an invalid variable: %s can have several values", piece.variable)
		}
		if r.named++; err == nil && r.named > MaxVariables {
			err = r.at(n, "Policy has more than %d variables", MaxVariables)
		}
		if err != nil && r.stored {
			return pat, true, nil
		}
		if err != nil {
			return pat, false, err
		}
	}
	return pat, false, nil
}

func (r *reader) resources(n node) ([]resource, error) {
	list, err := r.strings(n)
	if err != nil {
		return nil, err
	}
	out := make([]resource, 0, len(list))
	for _, item := range list {
		path, ok := item.text, item.text == "*"
		for _, partition := range []string{"aws", "aws-cn", "aws-us-gov"} {
			if rest, found := strings.CutPrefix(item.text, "arn:"+partition+":s3:::"); found && rest != "" {
				path, ok = rest, true
			}
		}
		if !ok {
			return nil, r.at(item, "Policy has invalid resource %q: want arn:aws:s3:::BUCKET or arn:aws:s3:::BUCKET/KEY", item.text)
		}
		pat, undecidable, err := r.pattern(item, path, newGlob, true)
		if err != nil {
			return nil, err
		}
		out = append(out, resource{pat, &item, undecidable})
	}
	return out, nil
}

// Validate holds the policy to the bucket that it is put on: each resource
// must be the bucket or something in it, as far as a wildcard may reach. Its
// error is a [*MalformedError]. A policy of [ParseStored] cannot be validated.
func (p *Policy) Validate(bucket string) error {
	for _, s := range p.Statements {
		for i := range s.resources {
			res := &s.resources[i]
			if !res.mayReach(bucket) {
				return p.tree.at(*res.node, "Policy has invalid resource %q: it is not of the bucket %s", res.node.text, bucket)
			}
		}
	}
	return nil
}
