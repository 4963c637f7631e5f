package faults

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/anishathalye/porcupine"
)

// kind is what a client asked for.
type kind string

const (
	opRead      kind = "read"       // GET, HEAD, or one key of a LIST
	opPut       kind = "put"        // unconditional
	opPutNew    kind = "put new"    // If-None-Match: *
	opPutOver   kind = "put over"   // If-Match
	opDelete    kind = "delete"     // unconditional
	opDeleteSee kind = "delete see" // If-Match
)

// absent is the value of a key that is not there. Every value that is written
// has a number of its own, from 1 on.
const absent = 0

// input is one request about one key.
type input struct {
	kind  kind
	key   string
	value int // that is written
	see   int // that If-Match names
	via   string
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

// register is one key of a bucket as S3 promises it.
var register = porcupine.Model{
	Partition: byKey,
	Init:      func() any { return absent },
	Step: func(state, in, out any) (bool, any) {
		return step(state.(int), in.(input), out.(output))
	},
	DescribeOperation: func(in, out any) string { return describe(in.(input), out.(output)) },
	DescribeState:     func(state any) string { return fmt.Sprint(state) },
}

// step tells whether a key with that value may answer so, and what its value
// is then. Of an unknown outcome it tells what comes of it if it is carried
// out: as its answer is behind all others, it need not be.
func step(now int, in input, out output) (bool, int) {
	holds, next := true, now
	switch in.kind {
	case opRead:
		return out.value == now, now
	case opPut:
		next = in.value
	case opPutNew:
		holds, next = now == absent, in.value
	case opPutOver:
		holds, next = now == in.see, in.value
	case opDelete:
		next = absent
	case opDeleteSee:
		// S3 deletes what is not there, whatever the condition says.
		holds, next = now == in.see || now == absent, absent
	}
	switch out.outcome {
	case unknown:
		if !holds {
			next = now
		}
		return true, next
	case unmet:
		return !holds && (in.kind == opPutNew || now != absent), now
	case missing:
		return !holds && now == absent, now
	}
	return holds, next
}

func byKey(history []porcupine.Operation) [][]porcupine.Operation {
	keys := map[string][]porcupine.Operation{}
	for _, op := range history {
		key := op.Input.(input).key
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
	text := string(in.kind)
	if in.value != 0 {
		text += fmt.Sprintf(" %d", in.value)
	}
	if in.see != 0 {
		text += fmt.Sprintf(" if %d", in.see)
	}
	if in.kind == opRead {
		return fmt.Sprintf("%s → %d via %s", text, out.value, in.via)
	}
	return fmt.Sprintf("%s → %s via %s", text, out.outcome, in.via)
}
