package s3api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pithos/pithos/internal/s3err"
)

// postPolicy is the policy of a form: what its signer allows in the form.
// (POST Policy in the S3 API reference.)
type postPolicy struct {
	expiration time.Time
	conditions []postCondition
	// least and most limit the size of the file, in bytes.
	least, most int64
}

// postCondition requires that a field, named in lower case, is a value or begins
// with it.
type postCondition struct {
	prefix       bool
	field, value string
}

// String returns the condition as it is written in a policy.
func (c postCondition) String() string {
	op := "eq"
	if c.prefix {
		op = "starts-with"
	}
	return fmt.Sprintf(`["%s", "$%s", "%s"]`, op, c.field, c.value)
}

func invalidPolicy(format string, args ...any) *s3err.Error {
	return failf(s3err.InvalidPolicyDocument, "Invalid Policy: "+format, args...)
}

// parsePostPolicy parses the field policy. InvalidPolicyDocument.
func parsePostPolicy(encoded string) (*postPolicy, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !utf8.Valid(data) {
		return nil, invalidPolicy("it must be UTF-8 in base64.")
	}
	elements, err := members(unescapeJSON(data))
	if err != nil {
		return nil, invalidPolicy("Invalid JSON: %.200v", err)
	}
	p := &postPolicy{most: math.MaxInt64}
	found := map[string]bool{}
	for _, e := range elements {
		switch e.name {
		case "expiration":
			err = p.readExpiration(e.value)
		case "conditions":
			err = p.readConditions(e.value)
		default:
			err = invalidPolicy("Unexpected: '%.80s'", e.name)
		}
		if err != nil {
			return nil, err
		}
		found[e.name] = true
	}
	for _, name := range []string{"expiration", "conditions"} {
		if !found[name] {
			return nil, invalidPolicy("Policy missing %s.", name)
		}
	}
	return p, nil
}

func (p *postPolicy) readExpiration(raw json.RawMessage) error {
	var s string
	err := unmarshalString(raw, &s)
	if err == nil {
		p.expiration, err = time.Parse(time.RFC3339Nano, s)
	}
	if err != nil {
		return invalidPolicy("Invalid 'expiration' value: %.80s", raw)
	}
	return nil
}

func (p *postPolicy) readConditions(raw json.RawMessage) error {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return invalidPolicy("Invalid 'conditions' value: must be a List.")
	}
	for _, c := range list {
		var err error
		if c[0] == '[' {
			err = p.readListCondition(c)
		} else {
			err = p.readSimpleCondition(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readSimpleCondition reads {"field": "value"}.
func (p *postPolicy) readSimpleCondition(raw json.RawMessage) error {
	m, err := members(raw)
	if err != nil || len(m) != 1 {
		return invalidPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
	}
	c := postCondition{field: strings.ToLower(m[0].name)}
	if err := unmarshalString(m[0].value, &c.value); err != nil || c.field == "" {
		return invalidPolicy("Invalid Simple-Condition: value must be a string.")
	}
	p.conditions = append(p.conditions, c)
	return nil
}

// readListCondition reads ["eq", "$field", "value"], ["starts-with", "$field",
// "value"] or ["content-length-range", least, most].
func (p *postPolicy) readListCondition(raw json.RawMessage) error {
	var list []json.RawMessage
	var op string
	if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 || unmarshalString(list[0], &op) != nil {
		return invalidPolicy("Invalid Condition: it must begin with its operation.")
	}
	op = strings.ToLower(op)
	if op != "eq" && op != "starts-with" && op != "content-length-range" {
		return invalidPolicy("Invalid Condition: unknown operation '%.80s'.", op)
	}
	if len(list) != 3 {
		return invalidPolicy("Invalid %s: wrong number of arguments.", op)
	}
	if op == "content-length-range" {
		return p.readRange(list[1], list[2])
	}
	c := postCondition{prefix: op == "starts-with"}
	var field string
	if unmarshalString(list[1], &field) != nil || unmarshalString(list[2], &c.value) != nil {
		return invalidPolicy("Invalid %s: field and value must be strings.", op)
	}
	name, ok := strings.CutPrefix(field, "$")
	if !ok || name == "" {
		return invalidPolicy("Invalid %s: the field must begin with '$'.", op)
	}
	c.field = strings.ToLower(name)
	p.conditions = append(p.conditions, c)
	return nil
}

// readRange reads a content-length-range and narrows the limits of the file.
func (p *postPolicy) readRange(least, most json.RawMessage) error {
	a, err1 := parseSize(least)
	b, err2 := parseSize(most)
	if err1 != nil || err2 != nil || a > b {
		return invalidPolicy("Invalid content-length-range: it takes two numbers of bytes, the lesser first.")
	}
	p.least, p.most = max(p.least, a), min(p.most, b)
	return nil
}

// parseSize reads a number of bytes, which some signers write as a string.
func parseSize(raw json.RawMessage) (int64, error) {
	s := string(raw)
	if raw[0] == '"' {
		if err := unmarshalString(raw, &s); err != nil {
			return 0, err
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

// uncovered are fields that need no condition. (POST Policy, Conditions. Checksums
// are not listed there, but no signer can know them, and S3 accepts them.)
func uncovered(field string) bool {
	switch field {
	case "policy", "signature", "awsaccesskeyid", "x-amz-signature":
		return true
	}
	return strings.HasPrefix(field, "x-amz-checksum-")
}

// check compares the fields of a form with the policy. AccessDenied.
func (p *postPolicy) check(f *form, bucket string, now time.Time) error {
	denied := func(format string, args ...any) error {
		return failf(s3err.AccessDenied, "Invalid according to Policy: "+format, args...)
	}
	if !now.Before(p.expiration) {
		return denied("Policy expired.")
	}
	covered := map[string]bool{}
	for _, c := range p.conditions {
		value := f.fields[c.field]
		if c.field == "bucket" {
			value = bucket
		}
		if !c.holds(value) {
			return denied("Policy Condition failed: %.300s", c)
		}
		covered[c.field] = true
	}
	var extra []string
	for _, name := range append([]string{"bucket"}, f.fieldNames()...) {
		if !covered[name] && !uncovered(name) {
			extra = append(extra, name)
			covered[name] = true
		}
	}
	if len(extra) > 0 {
		return denied("Extra input fields: %.300s", strings.Join(extra, ", "))
	}
	return nil
}

// holds reports whether a field's value meets the condition. A missing field has
// the value "". A Content-Type may be a list; each element must begin with the
// required value.
func (c postCondition) holds(value string) bool {
	switch {
	case !c.prefix:
		return value == c.value
	case c.field != "content-type":
		return strings.HasPrefix(value, c.value)
	}
	for v := range strings.SplitSeq(value, ",") {
		if !strings.HasPrefix(strings.TrimSpace(v), c.value) {
			return false
		}
	}
	return true
}

// member is one member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// members parses a JSON object. Names are compared exactly and must not be
// repeated: how encoding/json treats such cases is not what a signer means.
func members(data []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errors.New("an object was expected"), err)
	}
	var all []member
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: t.(string)} // the decoder accepts only strings as names
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		if seen[m.name] {
			return nil, fmt.Errorf("%.80q comes twice", m.name)
		}
		seen[m.name] = true
		all = append(all, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return all, nil
}

// unmarshalString parses a JSON string; null is not one.
func unmarshalString(raw json.RawMessage, s *string) error {
	if raw[0] != '"' {
		return errors.New("not a string")
	}
	return json.Unmarshal(raw, s)
}

// unescapeJSON replaces the two escapes of POST policies that JSON does not
// have: \$ and \v. (POST Policy, Character Escaping.)
func unescapeJSON(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' || i+1 == len(data) {
			out = append(out, data[i])
			continue
		}
		i++
		switch data[i] {
		case '$':
			out = append(out, '$')
		case 'v':
			out = append(out, `\u000b`...)
		default:
			out = append(out, '\\', data[i])
		}
	}
	return out
}
