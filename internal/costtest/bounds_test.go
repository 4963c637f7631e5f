package costtest

import (
	"fmt"
	"time"
)

// bound is the most that a request may use, as a function of its size: the
// bytes of the request and of a successful answer. The answer of a refused
// request does not count: it must not pay for itself by being long.
type bound struct {
	// name is how docs/security.md calls the requests that it holds for.
	name string
	// cpu is CPU time for each unit of work, cpuHead more for each KiB of the
	// first 64 KiB, cpuBody for each KiB beyond: the request line and the headers
	// are in those, and are taken apart into many small values.
	cpu, cpuHead, cpuBody time.Duration
	// alloc are bytes allocated for each unit of work, allocHead and allocBody
	// more for each byte. Most of them are garbage soon: they bound the peak
	// from above.
	alloc, allocHead, allocBody int64
	// rows are metadata rows read and written for each unit of work, beside
	// those that the answer shows.
	rows int64
	// answer tells that the answer counts for the size of the request.
	answer bool
}

// headBytes is where the rates for the first bytes of a request end: the default
// of service.max-header.
const headBytes = 64 << 10

// The bounds. A request that is refused can be sent by anyone, and a stored
// setting can be another tenant's: neither may cost much.
var (
	// refused: requests that are answered before the caller's rights are known,
	// or because the caller has none. A policy of 20 KB, which has to be parsed
	// once after each change, takes most of the memory.
	refused = bound{
		name: "that authorization refuses, or that are answered before it",
		cpu:  30 * time.Millisecond, cpuHead: time.Millisecond, cpuBody: 30 * time.Microsecond,
		alloc: 4 << 20, allocHead: 160, allocBody: 2, rows: 4,
	}
	// small: requests that are allowed and do one thing to one resource.
	small = bound{
		name: "for one object or setting",
		cpu:  60 * time.Millisecond, cpuHead: time.Millisecond, cpuBody: 150 * time.Microsecond,
		alloc: 4 << 20, allocHead: 160, allocBody: 16, rows: 16, answer: true,
	}
	// setting: requests that store a document which is parsed, such as a policy.
	setting = bound{
		name: "that store a policy or another document",
		cpu:  150 * time.Millisecond, cpuHead: time.Millisecond, cpuBody: 150 * time.Microsecond,
		alloc: 12 << 20, allocHead: 160, allocBody: 16, rows: 16, answer: true,
	}
	// page: listings. The rows that are shown come on top.
	page = bound{
		name: "for a page of a listing",
		cpu:  200 * time.Millisecond, cpuHead: time.Millisecond, cpuBody: 150 * time.Microsecond,
		alloc: 1 << 20, allocHead: 160, allocBody: 16, rows: 16, answer: true,
	}
	// each: requests that name many objects; for each of them.
	each = bound{
		name: "for many objects, for each of them",
		cpu:  10 * time.Millisecond, cpuHead: time.Millisecond, cpuBody: 150 * time.Microsecond,
		alloc: 192 << 10, allocHead: 160, allocBody: 16, rows: 8, answer: true,
	}
	// refusedEach: requests that name many objects, none of which the caller
	// has a right to.
	refusedEach = bound{
		name: "for many objects, for each of them that is refused",
		cpu:  time.Millisecond, cpuHead: time.Millisecond, cpuBody: 150 * time.Microsecond,
		alloc: 16 << 10, allocHead: 160, allocBody: 16, rows: 2, answer: true,
	}
	// longObject: requests for an object that consists of as many parts or appends
	// as an object can.
	longObject = bound{
		name: "for an object of 10,000 parts or appends, whatever they read of it or add to it",
		cpu:  60 * time.Millisecond, cpuHead: time.Millisecond, cpuBody: 150 * time.Microsecond,
		alloc: 1 << 20, allocHead: 160, allocBody: 16, rows: 16, answer: true,
	}
	// eachPart: requests that complete an upload.
	eachPart = bound{
		name: "that complete an upload, for each part",
		cpu:  500 * time.Microsecond, cpuHead: time.Millisecond, cpuBody: 150 * time.Microsecond,
		alloc: 16 << 10, allocHead: 160, allocBody: 16, rows: 5, answer: true,
	}
)

// bounds are those that docs/security.md lists.
var bounds = []bound{refused, small, setting, page, each, refusedEach, longObject, eachPart}

// errorBytes is the most bytes of an error's answer, whatever was sent.
const errorBytes = 128 << 10

// usage is what a request used.
type usage struct {
	cpu            time.Duration
	alloc, rows    int64
	sent, received int64 // bytes on the wire
}

func (u usage) String() string {
	return fmt.Sprintf("cpu %v, allocated %s, rows %d, sent %s, received %s", u.cpu.Round(10*time.Microsecond), size(u.alloc), u.rows, size(u.sent), size(u.received))
}

// allowed is the bound for n units of work, a request of the size of u and rows
// that are shown.
func (b bound) allowed(n int64, u usage, shown int64) usage {
	wire := u.sent
	if b.answer {
		wire += u.received
	}
	received := u.received
	if !b.answer {
		received = errorBytes
	}
	head := min(wire, headBytes)
	body := wire - head
	return usage{
		cpu:   time.Duration(n)*b.cpu + (time.Duration(head)*b.cpuHead+time.Duration(body)*b.cpuBody)/1024,
		alloc: n*b.alloc + head*b.allocHead + body*b.allocBody,
		rows:  n*b.rows + shown,
		sent:  u.sent, received: received,
	}
}

// exceeded says in what u is more than is allowed; "" where it is not.
func (u usage) exceeded(allowed usage, cpuFactor int) string {
	text := ""
	if most := time.Duration(cpuFactor) * allowed.cpu; u.cpu > most {
		text += fmt.Sprintf("  CPU time %v, allowed %v\n", u.cpu, most)
	}
	if u.alloc > allowed.alloc {
		text += fmt.Sprintf("  allocated %s, allowed %s\n", size(u.alloc), size(allowed.alloc))
	}
	if u.rows > allowed.rows {
		text += fmt.Sprintf("  %d metadata rows, allowed %d\n", u.rows, allowed.rows)
	}
	if u.received > allowed.received {
		text += fmt.Sprintf("  an answer of %s, allowed %s\n", size(u.received), size(allowed.received))
	}
	return text
}

func size(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
