package faults

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"
)

// kind is what a client asked for.
type kind string

const (
	opRead          kind = "read"           // GET, HEAD, or one key of a LIST
	opReadNot       kind = "read not"       // a condition on the key said that it has another value than see
	opReadVersion   kind = "read version"   // GET of the version see
	opPut           kind = "put"            // unconditional; a copy and a Complete too
	opPutNew        kind = "put new"        // If-None-Match: *
	opPutOver       kind = "put over"       // If-Match
	opDelete        kind = "delete"         // unconditional
	opDeleteSee     kind = "delete see"     // If-Match
	opDeleteVersion kind = "delete version" // of the version see
	opRename        kind = "rename"         // of a key to the other one of its pair, if it has the value see
)

func (k kind) reads() bool { return k == opRead || k == opReadNot || k == opReadVersion }

// absent is the value of a key that is not there. Every value that is written
// has a number of its own, from 1 on, and so has a delete marker, from -1 down.
const absent = 0

// input is one request about one key.
type input struct {
	kind  kind
	key   string
	value int // that is written
	see   int // that a condition or a version id names
	via   string
	how   string // where it is not the usual request
}

// outcome is what the client learnt of it.
type outcome string

const (
	done    outcome = "done"
	unmet   outcome = "unmet"   // 412: the condition does not hold
	missing outcome = "missing" // 404 to a condition that names a value
	unknown outcome = "unknown"
)

type output struct {
	outcome outcome
	value   int // that was read
}

// never is the time of an answer that did not come: after all others.
const never = math.MaxInt64

// Keys are <round>/<name>: those that are named so are of a bucket that keeps
// versions, and of the pair whose objects are renamed from one to the other.
const (
	versionedName = "versioned-"
	pairName      = "pair-"
)

func isVersioned(key string) bool { return strings.Contains(key, "/"+versionedName) }
func isPaired(key string) bool    { return strings.Contains(key, "/"+pairName) }

// group names the keys that are judged together: one, or a pair.
func group(key string) string {
	if isPaired(key) {
		return key[:len(key)-1]
	}
	return key
}

// slot is the place of a key in its group.
func slot(key string) int {
	if isPaired(key) && strings.HasSuffix(key, "1") {
		return 1
	}
	return 0
}

// state is what the keys of a group have: the versions of each of them, newest
// first. A key that keeps no versions has one, or none.
type state [2]stack

// stack are numbers of values, with commas between them.
type stack string

// current is the value that is read.
func (v stack) current() int {
	first, _, _ := strings.Cut(string(v), ",")
	value, _ := strconv.Atoi(first) // none is absent
	return max(value, absent)
}

func (v stack) all() []string {
	if v == "" {
		return nil
	}
	return strings.Split(string(v), ",")
}

func (v stack) has(value int) bool { return slices.Contains(v.all(), strconv.Itoa(value)) }

func (v stack) with(value int) stack {
	return stack(strings.Join(append([]string{strconv.Itoa(value)}, v.all()...), ","))
}

func (v stack) without(value int) stack {
	one := strconv.Itoa(value)
	return stack(strings.Join(slices.DeleteFunc(v.all(), func(s string) bool { return s == one }), ","))
}

// write is a key with a new value, or a delete marker.
func (s state) write(key string, value int) state {
	i := slot(key)
	switch {
	case isVersioned(key):
		s[i] = s[i].with(value)
	case value > absent:
		s[i] = stack(strconv.Itoa(value))
	default:
		s[i] = ""
	}
	return s
}

// register is what S3 promises of keys.
var register = porcupine.Model{
	Partition: byKey,
	Init:      func() any { return state{} },
	Step: func(now, in, out any) (bool, any) {
		return step(now.(state), in.(input), out.(output))
	},
	DescribeOperation: func(in, out any) string { return describe(in.(input), out.(output)) },
	DescribeState:     func(state any) string { return fmt.Sprint(state) },
}

// step tells whether keys with these values may answer so, and what they have
// then. Of an unknown outcome it tells what comes of it if it is carried out:
// as its answer is behind all others, it need not be.
func step(now state, in input, out output) (bool, state) {
	has := now[slot(in.key)]
	top := has.current()
	holds, next := true, now
	switch in.kind {
	case opRead:
		return out.value == top, now
	case opReadNot:
		return top != absent && top != in.see, now
	case opReadVersion:
		return has.has(in.see) == (out.value == in.see), now
	case opPut:
		next = now.write(in.key, in.value)
	case opPutNew:
		holds, next = top == absent, now.write(in.key, in.value)
	case opPutOver:
		holds, next = top == in.see, now.write(in.key, in.value)
	case opDelete:
		next = now.write(in.key, in.value)
	case opDeleteSee:
		// What is not there meets no condition: 404, and no delete marker.
		holds, next = top == in.see, now.write(in.key, absent)
	case opDeleteVersion:
		next[slot(in.key)] = has.without(in.see)
	case opRename:
		holds = top == in.see
		next[slot(in.key)], next[1-slot(in.key)] = "", has
	}
	switch out.outcome {
	case unknown:
		if !holds {
			next = now
		}
		return true, next
	case unmet:
		return !holds && (in.kind == opPutNew || top != absent), now
	case missing:
		return !holds && top == absent, now
	}
	return holds, next
}

func byKey(history []porcupine.Operation) [][]porcupine.Operation {
	keys := map[string][]porcupine.Operation{}
	for _, op := range history {
		key := group(op.Input.(input).key)
		keys[key] = append(keys[key], op)
	}
	var parts [][]porcupine.Operation
	for _, part := range keys {
		parts = append(parts, part)
	}
	slices.SortFunc(parts, func(a, b []porcupine.Operation) int {
		return cmp.Compare(a[0].Input.(input).key, b[0].Input.(input).key)
	})
	return parts
}

func describe(in input, out output) string {
	text := in.how + string(in.kind)
	if isPaired(in.key) {
		text += fmt.Sprintf(" %d:", slot(in.key))
	}
	if in.value != 0 {
		text += fmt.Sprintf(" %d", in.value)
	}
	if in.see != 0 {
		text += fmt.Sprintf(" if %d", in.see)
	}
	if in.kind.reads() {
		return fmt.Sprintf("%s → %d via %s", text, out.value, in.via)
	}
	return fmt.Sprintf("%s → %s via %s", text, out.outcome, in.via)
}
