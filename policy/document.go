package policy

import (
	"fmt"
	"strings"
)

// MaxBytes is the longest that a bucket policy may be: 20 KB.
const MaxBytes = 20 << 10

// Policy is a bucket policy that [Parse] has read. It does not change and may
// be used concurrently; it is meant to be parsed once and kept.
type Policy struct {
	ID         string
	Version    string
	Statements []Statement
	tree       *tree
}

// Statement is one statement of a policy.
type Statement struct {
	Sid  string
	Deny bool // its Effect; Allow otherwise

	index      int
	who        principals
	notWho     bool // NotPrincipal
	actions    []pattern
	notActions bool
	resources  []resource
	notOn      bool // NotResource
	conditions []condition
}

type resource struct {
	pattern // of bucket or bucket/key
	node    node
}

// name is how a reason calls the statement.
func (s *Statement) name() string {
	if s.Sid != "" {
		return fmt.Sprintf("statement %q of the bucket policy", s.Sid)
	}
	return fmt.Sprintf("statement %d of the bucket policy", s.index+1)
}

// Parse reads a bucket policy. Its error is a [*MalformedError].
func Parse(text []byte) (*Policy, error) {
	if len(text) > MaxBytes {
		return nil, &MalformedError{Message: fmt.Sprintf("Policy exceeds the maximum allowed document size: it has %d bytes, the limit is %d", len(text), MaxBytes)}
	}
	root, t, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	r := &reader{tree: t}
	p := &Policy{Version: "2008-10-17", tree: t}
	if err := r.document(root, p); err != nil {
		return nil, err
	}
	return p, nil
}

// reader turns nodes into a policy.
type reader struct {
	*tree
	variables bool // the version has policy variables
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
		seen[f.name] = f.node
		if err := r.element(f, s); err != nil {
			return err
		}
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
	if not, ok := seen["NotPrincipal"]; ok && !s.Deny {
		return r.at(not, "Allow with NotPrincipal is not allowed")
	}
	return nil
}

func (r *reader) element(f field, s *Statement) (err error) {
	switch f.name {
	case "Sid":
		return r.sid(f.node, s)
	case "Effect":
		return r.effect(f.node, s)
	case "Principal", "NotPrincipal":
		s.notWho = f.name == "NotPrincipal"
		return r.principals(f.node, &s.who)
	case "Action", "NotAction":
		s.notActions = f.name == "NotAction"
		s.actions, err = r.actions(f.node)
	case "Resource", "NotResource":
		s.notOn = f.name == "NotResource"
		s.resources, err = r.resources(f.node)
	case "Condition":
		s.conditions, err = r.conditions(f.node)
	default:
		return r.at(f.node, "Unknown field %s", f.name)
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

func (r *reader) actions(n node) ([]pattern, error) {
	list, err := r.strings(n)
	if err != nil {
		return nil, err
	}
	var out []pattern
	for _, item := range list {
		pat, ok := compileAction(item.text)
		if !ok {
			return nil, r.at(item, "Policy has invalid action %q", item.text)
		}
		out = append(out, pat)
	}
	return out, nil
}

func (r *reader) resources(n node) ([]resource, error) {
	list, err := r.strings(n)
	if err != nil {
		return nil, err
	}
	var out []resource
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
		pat, err := compile(path, true, r.variables)
		if err != nil {
			return nil, r.at(item, "Policy has invalid resource: %v", err)
		}
		out = append(out, resource{pat, item})
	}
	return out, nil
}

// Validate holds the policy to the bucket that it is put on: each resource
// must be the bucket or something in it, as far as a wildcard may reach. Its
// error is a [*MalformedError].
func (p *Policy) Validate(bucket string) error {
	for _, s := range p.Statements {
		for _, res := range s.resources {
			if !mayMatchWithin(res.loose(), bucket) {
				return p.tree.at(res.node, "Policy has invalid resource %q: it is not of the bucket %s", res.node.text, bucket)
			}
		}
	}
	return nil
}
