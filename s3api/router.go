package s3api

import (
	"context"
	"net/http"
	"slices"

	"github.com/gorilla/mux"

	"github.com/pithos/pithos/internal/s3err"
)

type requestKey struct{}

func requestOf(r *http.Request) *Request { return r.Context().Value(requestKey{}).(*Request) }

func withRequest(hr *http.Request, r *Request) *http.Request {
	return hr.WithContext(context.WithValue(hr.Context(), requestKey{}, r))
}

// newRouter builds the routes from the table. They depend on scope, query and
// header. The path was parsed before, byte by byte, and mux must not clean it.
func (a *API) newRouter() *mux.Router {
	root := mux.NewRouter().SkipClean(true).UseEncodedPath()
	type group struct {
		method string
		scope  Scope
	}
	groups := map[group]*mux.Router{}
	rows := slices.Clone(a.ops)
	slices.SortStableFunc(rows, func(x, y *Operation) int { return y.specificity() - x.specificity() })
	for _, op := range rows {
		g := group{op.Method, op.Scope}
		if groups[g] == nil {
			groups[g] = root.MatcherFunc(func(hr *http.Request, _ *mux.RouteMatch) bool {
				return hr.Method == g.method && requestOf(hr).scope() == g.scope
			}).Subrouter()
		}
		groups[g].NewRoute().MatcherFunc(func(hr *http.Request, _ *mux.RouteMatch) bool {
			return op.matches(requestOf(hr).query, hr.Header)
		}).HandlerFunc(func(_ http.ResponseWriter, hr *http.Request) { requestOf(hr).Op = op })
	}
	root.NotFoundHandler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	return root
}

func (r *Request) scope() Scope { return address{bucket: r.BucketName, key: r.Key}.scope() }

// subresources returns, for each scope, the query parameters that select a row. A
// request that has one which its row does not accept is refused.
func subresources(ops []*Operation) map[Scope]map[string]bool {
	all := map[Scope]map[string]bool{ScopeService: {}, ScopeBucket: {}, ScopeObject: {"append": true}}
	for _, op := range ops {
		for _, s := range op.Query {
			if !arguments[s.Name] {
				all[op.Scope][s.Name] = true
			}
		}
	}
	return all
}

// route returns the row of a request. Errors: MethodNotAllowed, InvalidArgument.
func (a *API) route(r *Request) error {
	hr := withRequest(r.Request, r)
	a.router.ServeHTTP(nil, hr)
	if err := misplaced(r); err != nil {
		return err
	}
	if r.Op == nil {
		return a.methodNotAllowed(r)
	}
	var others []string
	for name := range r.query {
		if a.subresources[r.Op.Scope][name] && !r.Op.accepts(name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	if len(others) > 0 && len(r.Op.Query) == 0 {
		return a.methodNotAllowed(r).With("SubResource", others[0])
	}
	if len(others) > 0 {
		return badArgument("ResourceType", others[0], "Conflicting query string parameters: %s, %s", r.Op.Query[0].Name, others[0])
	}
	return a.checkVersionID(r)
}

// misplaced refuses mistakes for which S3 has an error of their own: sub-resources of
// buckets on a key, a part without its upload, a copy source without a PUT.
func misplaced(r *Request) error {
	switch source := r.Header.Get("X-Amz-Copy-Source"); {
	case source != "" && r.Method != http.MethodPut && r.Method != http.MethodOptions:
		return badArgument("x-amz-copy-source", source, "You can only specify a copy source header for copy requests.")
	case r.scope() != ScopeObject:
		return nil
	case r.Method == http.MethodGet && (r.Has("versions") || r.Has("uploads")):
		name := "versions"
		if !r.Has(name) {
			name = "uploads"
		}
		return failf(s3err.InvalidRequest, "There is no such thing as the ?%s sub-resource for a key", name)
	case r.Method == http.MethodPut && r.Has("partNumber") && !r.Has("uploadId"):
		return badArgument("partNumber", r.query.Get("partNumber"), "This operation does not accept a partNumber without an uploadId.")
	}
	return nil
}

func (a *API) methodNotAllowed(r *Request) *s3err.Error {
	return fail(s3err.MethodNotAllowed).With("Method", r.Method).With("ResourceType", [...]string{"SERVICE", "BUCKET", "OBJECT"}[r.scope()])
}

// checkVersionID refuses versionId for operations that do not accept it.
func (a *API) checkVersionID(r *Request) error {
	values, ok := r.query["versionId"]
	switch {
	case !ok || r.Op.Scope != ScopeObject:
		return nil
	case !r.Op.Versioned:
		return badArgument("versionId", values[0], "This operation does not accept a version-id.")
	case len(values) > 1 || values[0] == "":
		return badArgument("versionId", values[0], "Version id cannot be the empty string")
	}
	return nil
}
