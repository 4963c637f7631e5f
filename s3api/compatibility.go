package s3api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

const compatibilityHead = `# S3 compatibility

This page is generated from the operation table of the server: what it says is what the server does. An operation that is
not there answers ` + "`501 NotImplemented`" + ` and names itself. Requests are signed with version 2 or 4 (header, presigned, chunked,
with trailers), addressed by path or by host name, over HTTP/1.1 or, with TLS, HTTP/2.

`

// Compatibility renders the operation table as Markdown.
func Compatibility() string {
	var b strings.Builder
	b.WriteString(compatibilityHead)
	ops := Operations()
	slices.SortStableFunc(ops, func(a, b Operation) int { return cmp.Compare(a.Name, b.Name) })
	there := 0
	for i := range ops {
		if ops[i].Handler != nil {
			there++
		}
	}
	fmt.Fprintf(&b, "Of %d operations %d are there.\n\n| operation | request | there | in what it differs |\n|---|---|---|---|\n", len(ops), there)
	for i := range ops {
		op := &ops[i]
		answer := "yes"
		if op.Handler == nil {
			answer = "501"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", op.Name, op.request(), answer, op.Differs)
	}
	return b.String()
}

// request shows what selects the row.
func (op *Operation) request() string {
	s := op.Method + " " + [...]string{ScopeService: "/", ScopeBucket: "/bucket", ScopeObject: "/bucket/key"}[op.Scope]
	for i, q := range op.Query {
		s += string("?&"[min(i, 1)]) + q.Name
		if q.Value != "" {
			s += "=" + q.Value
		}
	}
	if op.Header != "" {
		s += ", " + strings.ToLower(op.Header)
	}
	return s
}
