package faults

import (
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

// op is an operation on the key k from one time to another.
func op(from, to int64, k kind, value, see int, out output) porcupine.Operation {
	return porcupine.Operation{Call: from, Return: to, Input: input{kind: k, key: "k", value: value, see: see}, Output: out}
}

// about is the history of a key of that name.
func about(name string, ops ...porcupine.Operation) []porcupine.Operation {
	for i := range ops {
		in := ops[i].Input.(input)
		in.key = name
		ops[i].Input = in
	}
	return ops
}

// TestTheModelTellsViolations holds the judge itself to histories whose
// verdict is known.
func TestTheModelTellsViolations(t *testing.T) {
	ok, nothing := output{outcome: done}, output{outcome: unknown}
	read := func(v int) output { return output{done, v} }
	for name, c := range map[string]struct {
		history []porcupine.Operation
		want    bool
	}{
		"a read after a put sees it":                        {[]porcupine.Operation{op(1, 2, opPut, 1, 0, ok), op(3, 4, opRead, 0, 0, read(1))}, true},
		"a read after a put sees nothing":                   {[]porcupine.Operation{op(1, 2, opPut, 1, 0, ok), op(3, 4, opRead, 0, 0, read(absent))}, false},
		"a read beside a put sees either":                   {[]porcupine.Operation{op(1, 5, opPut, 1, 0, ok), op(2, 3, opRead, 0, 0, read(absent)), op(4, 6, opRead, 0, 0, read(1))}, true},
		"two reads beside a put go back":                    {[]porcupine.Operation{op(1, 9, opPut, 1, 0, ok), op(2, 3, opRead, 0, 0, read(1)), op(4, 5, opRead, 0, 0, read(absent))}, false},
		"two winners of If-None-Match":                      {[]porcupine.Operation{op(1, 9, opPutNew, 1, 0, ok), op(1, 9, opPutNew, 2, 0, ok)}, false},
		"one winner of If-None-Match":                       {[]porcupine.Operation{op(1, 9, opPutNew, 1, 0, ok), op(1, 9, opPutNew, 2, 0, output{outcome: unmet})}, true},
		"no writer wins If-None-Match":                      {[]porcupine.Operation{op(1, 9, opPutNew, 1, 0, output{outcome: unmet})}, false},
		"a lost update":                                     {[]porcupine.Operation{op(1, 2, opPut, 1, 0, ok), op(3, 9, opPutOver, 2, 1, ok), op(3, 9, opPutOver, 3, 1, ok)}, false},
		"If-Match on a key that is not there":               {[]porcupine.Operation{op(1, 2, opPutOver, 2, 1, output{outcome: missing})}, true},
		"If-Match says missing, and it is there":            {[]porcupine.Operation{op(1, 2, opPut, 1, 0, ok), op(3, 4, opPutOver, 3, 2, output{outcome: missing})}, false},
		"a deletion that saw another value":                 {[]porcupine.Operation{op(1, 2, opPut, 1, 0, ok), op(3, 4, opDeleteSee, 0, 2, ok)}, false},
		"a conditional deletion of what is not there":       {[]porcupine.Operation{op(3, 4, opDeleteSee, 0, 2, output{outcome: missing})}, true},
		"one that is done":                                  {[]porcupine.Operation{op(3, 4, opDeleteSee, 0, 2, ok)}, false},
		"an unknown put that shows late":                    {[]porcupine.Operation{op(1, never, opPut, 1, 0, nothing), op(3, 4, opRead, 0, 0, read(absent)), op(5, 6, opRead, 0, 0, read(1))}, true},
		"an unknown put that never shows":                   {[]porcupine.Operation{op(1, never, opPut, 1, 0, nothing), op(3, 4, opRead, 0, 0, read(absent))}, true},
		"an unknown put that shows and is undone":           {[]porcupine.Operation{op(1, never, opPut, 1, 0, nothing), op(3, 4, opRead, 0, 0, read(1)), op(5, 6, opRead, 0, 0, read(absent))}, false},
		"an unknown put that shows before it":               {[]porcupine.Operation{op(5, never, opPut, 1, 0, nothing), op(3, 4, opRead, 0, 0, read(1))}, false},
		"an unknown condition that did not hold":            {[]porcupine.Operation{op(1, 2, opPut, 1, 0, ok), op(3, never, opPutNew, 2, 0, nothing), op(5, 6, opRead, 0, 0, read(2))}, false},
		"an unknown condition that held at a time":          {[]porcupine.Operation{op(1, never, opPutNew, 1, 0, nothing), op(3, 4, opPutNew, 2, 0, output{outcome: unmet})}, true},
		"an older version shows when the newest is deleted": {about("/versioned-0", op(1, 2, opPut, 1, 0, ok), op(3, 4, opPut, 2, 0, ok), op(5, 6, opDeleteVersion, 0, 2, ok), op(7, 8, opRead, 0, 0, read(1))), true},
		"a deleted version shows":                           {about("/versioned-0", op(1, 2, opPut, 1, 0, ok), op(3, 4, opDeleteVersion, 0, 1, ok), op(5, 6, opRead, 0, 0, read(1))), false},
		"a delete marker hides, and is deleted":             {about("/versioned-0", op(1, 2, opPut, 1, 0, ok), op(3, 4, opDelete, -1, 0, ok), op(5, 6, opRead, 0, 0, read(absent)), op(7, 8, opDeleteVersion, 0, -1, ok), op(9, 10, opRead, 0, 0, read(1))), true},
		"a version below a marker is read by its id":        {about("/versioned-0", op(1, 2, opPut, 1, 0, ok), op(3, 4, opDelete, -1, 0, ok), op(5, 6, opReadVersion, 0, 1, read(1))), true},
		"a version is lost":                                 {about("/versioned-0", op(1, 2, opPut, 1, 0, ok), op(3, 4, opPut, 2, 0, ok), op(5, 6, opReadVersion, 0, 1, read(absent))), false},
		"a renamed object is at one key":                    {append(about("/pair-0", op(1, 2, opPut, 1, 0, ok), op(3, 4, opRename, 0, 1, ok), op(5, 6, opRead, 0, 0, read(absent))), about("/pair-1", op(7, 8, opRead, 0, 0, read(1)))...), true},
		"a renamed object is at both keys":                  {append(about("/pair-0", op(1, 2, opPut, 1, 0, ok), op(3, 9, opRename, 0, 1, ok), op(6, 7, opRead, 0, 0, read(1))), about("/pair-1", op(4, 5, opRead, 0, 0, read(1)))...), false},
		"a renamed object is at no key":                     {append(about("/pair-0", op(1, 2, opPut, 1, 0, ok), op(3, 9, opRename, 0, 1, ok), op(4, 5, opRead, 0, 0, read(absent))), about("/pair-1", op(6, 7, opRead, 0, 0, read(absent)))...), false},
		"half of an unknown rename":                         {append(about("/pair-0", op(1, 2, opPut, 1, 0, ok), op(3, never, opRename, 0, 1, nothing), op(4, 5, opRead, 0, 0, read(1))), about("/pair-1", op(6, 7, opRead, 0, 0, read(1)), op(8, 9, opDelete, 0, 0, ok), op(10, 11, opRead, 0, 0, read(absent)))...), true},
		"the source of a copy had the value after all":      {[]porcupine.Operation{op(1, 2, opPut, 1, 0, ok), op(3, 4, opReadNot, 0, 1, ok)}, false},
		"the source of a copy had another value":            {[]porcupine.Operation{op(1, 2, opPut, 2, 0, ok), op(3, 4, opReadNot, 0, 1, ok)}, true},
	} {
		if got := porcupine.CheckOperations(register, c.history); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if explained(c.history) && !c.want {
			t.Errorf("%s: explained, and is not", name)
		}
	}
}

func TestTheShortestViolationEndsWithWhatContradicts(t *testing.T) {
	ok := output{outcome: done}
	got := shortest([]porcupine.Operation{
		op(1, 2, opPut, 1, 0, ok), op(3, 4, opRead, 0, 0, output{done, 2}),
		op(5, 6, opPut, 3, 0, ok), op(7, 8, opRead, 0, 0, output{done, 3}),
	})
	if !strings.Contains(got, "read → 2") || strings.Contains(got, "put 3") {
		t.Errorf("%s", got)
	}
}
