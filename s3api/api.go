package s3api

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"go.uber.org/zap"

	"github.com/pithos/pithos/policy"
	"github.com/pithos/pithos/store"
)

// Options configure an API.
type Options struct {
	Store *store.Store
	Keys  Keys
	Log   *zap.Logger
	// ServiceURIs are the host names of the service: a host in front of one
	// of them names a bucket. A port or scheme in them is ignored.
	ServiceURIs []string
	// Region is shown to clients, and is the region of buckets without a location;
	// "" is us-east-1.
	Region string
	// Regions are the other regions that buckets may be in.
	Regions []string
	// EnforceRegion refuses signatures for other regions than Region and Regions.
	EnforceRegion bool
	// DisableV2 refuses signature version 2.
	DisableV2 bool
	// MaxSkew is the maximum difference to clients' clocks; 0 is 15 minutes.
	MaxSkew time.Duration
	// AllowInsecureSSEC accepts customers' keys over plain HTTP: a proxy in front
	// does TLS.
	AllowInsecureSSEC bool
	// MayUseKey reports whether a tenant may name the master key keyID for
	// aws:kms; nil allows all tenants.
	MayUseKey func(tenant, keyID string) bool
	// TokenKey is part of the keys that seal continuation tokens, together with the
	// bucket's id or the caller's secret. All gateways of a service must have the
	// same; nil is valid.
	TokenKey []byte
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Admit, if not nil, is called before a request takes more than a small
	// constant amount of memory or time, see [Work]. The context is the request's.
	// If it returns an error, that is the answer.
	Admit func(context.Context, Work) error
}

// API is an http.Handler that speaks S3.
type API struct {
	options      Options
	store        *store.Store
	log          *zap.Logger
	ops          []*Operation
	router       *mux.Router
	subresources map[Scope]map[string]bool
	suffixes     []string
	hostID       string
	policies     parsedCache[*policy.Policy]
	cors         parsedCache[corsPolicy]
}

// New returns an API with the options o. Store and Keys are required.
func New(o Options) (*API, error) {
	if o.Store == nil || o.Keys == nil {
		return nil, errors.New("s3api: Options.Store and Options.Keys are required")
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	a := &API{
		options: o, store: o.Store, log: o.Log, suffixes: serviceSuffixes(o.ServiceURIs),
		hostID: base64.StdEncoding.EncodeToString(random(32)),
		cors:   parsedCache[corsPolicy]{max: corsCacheBytes}, policies: parsedCache[*policy.Policy]{max: policiesBytes},
	}
	for _, op := range Operations() {
		a.ops = append(a.ops, &op)
	}
	a.subresources = subresources(a.ops)
	a.router = a.newRouter()
	return a, nil
}

var _ http.Handler = (*API)(nil)

func random(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
	return b
}

// newRequestID returns 16 upper-case hexadecimal digits, as S3 shows them.
func newRequestID() string { return strings.ToUpper(hex.EncodeToString(random(8))) }
