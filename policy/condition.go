package policy

import "strings"

// condition is one key of one operator of a Condition element.
type condition struct {
	op       operator
	name     string // the operator as written
	set      string // ForAllValues, ForAnyValue or ""
	ifExists bool
	key      string // canonical
	tests    []test
	null     bool // for the operator Null: the key must be absent
	// undecidable: it depends on a key that no request has, or compares what
	// cannot be compared. It is decided against the requester.
	undecidable bool
	own         bool // it depends on a key that is Own
}

// test is one value of a condition.
type test struct {
	text  string
	holds func(value *operand) bool
	// pattern is in place of holds where the value may have variables.
	pattern pattern
}

// operator says what its tests are and how they are compared.
type operator struct {
	base   string
	negate bool
	// compile makes a test of the text of a value, or says what it wants.
	compile func(text string) (holds func(*operand) bool, want string)
	// build is in place of compile for text: it makes what compares a value
	// with a pattern whose variables have been put in.
	build func(pattern []rune) matcher
	wild  bool // wildcards count
	arn   bool // it compares ARNs
}

const null = "Null"

// conditions reads {operator: {key: value or list}}.
func (r *reader) conditions(n node) ([]condition, error) {
	if n.kind != '{' {
		return nil, r.at(n, "Expected conditions in braces")
	}
	var out []condition
	for _, f := range n.fields {
		form, ok := parseOperator(f.name)
		if !ok {
			return nil, r.at(f.node, "Invalid Condition type : %s", f.name)
		}
		if f.node.kind != '{' || len(f.node.fields) == 0 {
			return nil, r.at(f.node, "Expected condition keys and values in braces")
		}
		for _, k := range f.node.fields {
			c, err := r.condition(form, k)
			if err != nil {
				return nil, err
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// parseOperator reads [ForAllValues:|ForAnyValue:]Operator[IfExists].
func parseOperator(text string) (condition, bool) {
	c := condition{name: text}
	for _, set := range []string{"ForAllValues", "ForAnyValue"} {
		if rest, ok := strings.CutPrefix(text, set+":"); ok {
			text, c.set = rest, set
			break
		}
	}
	text, c.ifExists = strings.CutSuffix(text, "IfExists")
	op, ok := operators[text]
	c.op = op
	if text == null && (c.set != "" || c.ifExists) {
		return c, false
	}
	return c, ok
}

func (r *reader) condition(c condition, f field) (condition, error) {
	c.key = canonicalKey(f.name)
	k, err := r.key(f.node, f.name)
	if err == nil && !c.op.compares(k.Type) {
		err = r.at(f.node, "Policy has an invalid condition: %s never holds for %s, which is of type %s", c.name, f.name, k.Type)
	}
	if err != nil && r.stored {
		c.undecidable = true
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c.own = k.Own
	list := []node{f.node}
	if f.node.kind == '[' {
		list = f.node.items
	}
	if r.values += len(list); r.values > MaxValues {
		c.undecidable = true
		if r.stored {
			return c, nil
		}
		return c, r.at(f.node, "Policy has more than %d values in conditions", MaxValues)
	}
	if len(list) == 0 {
		return c, r.at(f.node, "Empty list")
	}
	c.tests = make([]test, 0, len(list))
	for _, item := range list {
		if item.kind != 's' && item.kind != 'n' && item.kind != 'b' {
			return c, r.at(item, "Expected a string, a number or a boolean")
		}
		t, undecidable, err := r.test(c.op, item)
		if err != nil {
			return c, err
		}
		c.undecidable = c.undecidable || undecidable
		c.own = c.own || t.pattern.own()
		c.tests = append(c.tests, t)
	}
	if c.op.base == null {
		if len(c.tests) != 1 {
			return c, r.at(f.node, "Null takes one value, true or false")
		}
		c.null = strings.EqualFold(c.tests[0].text, "true")
	}
	return c, nil
}

func (r *reader) test(op operator, n node) (t test, undecidable bool, err error) {
	t.text = n.text
	if op.build != nil {
		if t.pattern, undecidable, err = r.pattern(n, n.text, op.build, op.wild); err != nil {
			return t, false, err
		}
		if op.arn && t.pattern.constant() && strings.Count(n.text, ":") < 5 {
			return t, false, r.at(n, "Policy has an invalid condition value %q: %s wants an ARN of six parts", n.text, op.base)
		}
		return t, undecidable, nil
	}
	holds, want := op.compile(n.text)
	if want != "" {
		return t, false, r.at(n, "Policy has an invalid condition value %q: %s wants %s", n.text, op.base, want)
	}
	t.holds = holds
	return t, false, nil
}

// MaxValueBytes is the longest value of a request that is compared. A condition
// on a longer one is decided against the requester.
const MaxValueBytes = 64 << 10

// holds reports whether the condition is met (IAM user guide, "Condition
// operators" and "Multivalued context keys"). A variable without a value
// matches nothing; what that leaves undecided is decided against the
// requester: a Deny applies, an Allow does not.
func (c *condition) holds(e *evaluation, deny bool) bool {
	if c.undecidable {
		return deny
	}
	values := e.values(c.key)
	if c.op.base == null {
		return c.null == (len(values) == 0)
	}
	if len(values) == 0 {
		return c.ifExists || c.set == "ForAllValues" || (c.set == "" && c.op.negate)
	}
	for _, value := range values {
		if len(value.text) > MaxValueBytes {
			return deny
		}
	}
	every := c.set == "ForAllValues" || (c.set == "" && c.op.negate)
	for _, value := range values {
		if c.holdsFor(value, e, deny) != every {
			return !every
		}
	}
	return every
}

// holdsFor compares one value of the request with those of the policy.
func (c *condition) holdsFor(value *operand, e *evaluation, deny bool) bool {
	for i := range c.tests {
		met, known := c.tests[i].met(c.op, value, e)
		if !known && c.op.negate && !deny {
			return false
		}
		if met {
			return !c.op.negate
		}
	}
	return c.op.negate
}

func (t *test) met(op operator, value *operand, e *evaluation) (met, known bool) {
	if op.build == nil {
		return t.holds(value), true
	}
	return t.pattern.matches(value.text, &e.work, e.variable)
}
