package policy

import "strings"

// Context holds condition keys and their values: what is known of a request
// besides who asks for what. [Context.Set] fills it. A key that does not apply
// is absent, not empty. A key that the action does not carry by [Keys] is left
// aside.
type Context map[string][]string

// Set gives a condition key its values. The key's case does not matter, but
// for what follows a slash (the name of a tag). Setting no values at all
// leaves the key absent.
func (c Context) Set(key string, values ...string) {
	if len(values) > 0 {
		c[canonicalKey(key)] = values
	}
}

// canonicalKey is a key in lower case up to its first slash.
func canonicalKey(key string) string {
	prefix, tag, slash := strings.Cut(key, "/")
	if !slash {
		return strings.ToLower(key)
	}
	return strings.ToLower(prefix) + "/" + tag
}

// existingTag is the prefix of the keys that ask for an object's tags.
const existingTag = "s3:existingobjecttag/"
