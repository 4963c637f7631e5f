package s3api

import (
	"context"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/policy"
)

// maxGrants is S3's limit of grants in one ACL.
const maxGrants = 100

// Tenants may be implemented by [Keys], which then knows all tenants. Without it
// grants to any canonical id are accepted, and none to an e-mail address.
type Tenants interface {
	// Tenant returns the tenant with that name or e-mail address; "" if there is none.
	Tenant(ctx context.Context, nameOrEmail string) (string, error)
}

// ownerXML is an Owner element.
type ownerXML struct {
	ID          text
	DisplayName text `xml:",omitempty"`
}

func ownerOf(id string) ownerXML { return ownerXML{ID: text(id), DisplayName: text(displayName(id))} }

// displayName is the display name of a canonical id. A tenant's id is its name.
func displayName(id string) string {
	if id == AnonymousID {
		return "anonymous"
	}
	return id
}

type aclXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccessControlPolicy"`
	Owner   ownerXML
	List    struct {
		Grants []grantXML `xml:"Grant"`
	} `xml:"AccessControlList"`
}

type grantXML struct {
	Grantee    granteeXML
	Permission string
}

type granteeXML struct {
	XSI         string `xml:"xmlns:xsi,attr"`
	Type        string `xml:"xsi:type,attr"`
	ID          text   `xml:",omitempty"`
	DisplayName text   `xml:",omitempty"`
	URI         text   `xml:",omitempty"`
}

// toPolicyACL converts acl to the form of package policy.
func toPolicyACL(acl meta.ACL) policy.ACL {
	out := policy.ACL{Owner: acl.Owner}
	for _, g := range acl.Grants {
		out.Grants = append(out.Grants, policy.Grant{Type: g.Type, Grantee: g.Grantee, Permission: policy.Permission(g.Permission)})
	}
	return out
}

func fromPolicyACL(acl policy.ACL) meta.ACL {
	out := meta.ACL{Owner: acl.Owner}
	for _, g := range acl.Grants {
		out.Grants = append(out.Grants, meta.Grant{Type: g.Type, Grantee: g.Grantee, Permission: string(g.Permission)})
	}
	return out
}

// effective returns the grants of an ACL; those of the default ACL if it is empty.
func effective(acl meta.ACL, owner string) meta.ACL {
	if acl.Owner == "" && len(acl.Grants) == 0 {
		acl.Grants = []meta.Grant{{Type: policy.CanonicalUser, Grantee: owner, Permission: string(policy.FullControl)}}
	}
	if acl.Owner == "" {
		acl.Owner = owner
	}
	return acl
}

func writeACL(w http.ResponseWriter, acl meta.ACL, owner string) error {
	acl = effective(acl, owner)
	doc := aclXML{Owner: ownerOf(owner)}
	grants := slices.Clone(acl.Grants)
	// Groups first, as in canned ACLs; the order has no meaning.
	slices.SortStableFunc(grants, func(a, b meta.Grant) int { return strings.Compare(b.Type, a.Type) })
	for _, g := range grants {
		x := granteeXML{XSI: xsi, Type: g.Type}
		if g.Type == policy.Group {
			x.URI = text(g.Grantee)
		} else {
			x.ID, x.DisplayName = text(g.Grantee), text(displayName(g.Grantee))
		}
		doc.List.Grants = append(doc.List.Grants, grantXML{Grantee: x, Permission: g.Permission})
	}
	return writeXML(w, doc)
}

func getBucketACL(_ *API, w http.ResponseWriter, r *Request) error {
	return writeACL(w, r.Bucket.Config.ACL, r.Bucket.Owner)
}

// putBucketACL is PutBucketAcl.
func putBucketACL(a *API, w http.ResponseWriter, r *Request) error {
	if ownership(r.Bucket) == ownerEnforced {
		return fail(s3err.AccessControlListNotSupported)
	}
	acl, err := a.parseACL(r, r.Bucket.Owner, r.Bucket.Owner)
	if err != nil {
		return err
	}
	if err := admitACL(r.Bucket, acl); err != nil {
		return err
	}
	_, err = a.store.UpdateBucket(r.Context(), r.Bucket, func(c *meta.BucketConfig) error {
		if c.Ownership == ownerEnforced {
			return fail(s3err.AccessControlListNotSupported)
		}
		c.ACL = acl
		return nil
	})
	return err
}

// parseACL parses the ACL of a PutBucketAcl or PutObjectAcl, in the body or in
// headers.
func (a *API) parseACL(r *Request, owner, bucketOwner string) (meta.ACL, error) {
	body, err := r.Document()
	if err != nil {
		return meta.ACL{}, err
	}
	acl, given, err := a.headerACL(r, owner, bucketOwner)
	switch {
	case err != nil:
		return acl, err
	case given && len(body) > 0:
		return acl, fail(s3err.UnexpectedContent)
	case given:
		return acl, nil
	case len(body) == 0:
		return acl, fail(s3err.MissingSecurityHeader).With("MissingHeaderName", "x-amz-acl")
	}
	return a.bodyACL(r, owner)
}

type grantHeader struct{ header, permission string }

// grantHeaders are the x-amz-grant-* headers, in the order of their grants.
var grantHeaders = []grantHeader{
	{"X-Amz-Grant-Read", "READ"}, {"X-Amz-Grant-Write", "WRITE"}, {"X-Amz-Grant-Read-Acp", "READ_ACP"},
	{"X-Amz-Grant-Write-Acp", "WRITE_ACP"}, {"X-Amz-Grant-Full-Control", "FULL_CONTROL"},
}

// headerACL parses x-amz-acl or x-amz-grant-*; given reports whether there is any.
func (a *API) headerACL(r *Request, owner, bucketOwner string) (acl meta.ACL, given bool, err error) {
	var grants []wantedGrant
	for _, g := range grantHeaders {
		for _, value := range r.Header[g.header] {
			given = true
			if grants, err = appendGrants(grants, g, value); err != nil {
				return acl, true, err
			}
		}
	}
	canned, has := r.Header["X-Amz-Acl"]
	switch {
	case has && given:
		return acl, true, failf(s3err.InvalidRequest, "Specifying both Canned ACLs and Header Grants is not allowed")
	case has:
		expanded, err := policy.Canned(strings.Join(canned, ","), owner, bucketOwner)
		if err != nil {
			return acl, true, badArgument("x-amz-acl", strings.Join(canned, ","), "The canned ACL is not known.")
		}
		return fromPolicyACL(expanded), true, nil
	}
	acl.Owner = owner
	acl.Grants, err = a.resolve(r, grants)
	return acl, given, err
}

// wantedGrant is one grant of a request, before its grantee is looked up.
type wantedGrant struct{ kind, who, permission string }

// resolve looks up the grantees, each once. The caller has limited the number of
// grants to maxGrants, which limits the lookups of a request.
func (a *API) resolve(r *Request, wanted []wantedGrant) ([]meta.Grant, error) {
	var grants []meta.Grant
	known := map[wantedGrant]meta.Grant{} // the key has no permission
	for _, w := range wanted {
		name := wantedGrant{kind: w.kind, who: w.who}
		g, ok := known[name]
		if !ok {
			var err error
			if g, err = a.grantee(r, w.kind, w.who); err != nil {
				return nil, err
			}
			known[name] = g
		}
		g.Permission = w.permission
		grants = append(grants, g)
	}
	return grants, nil
}

// grantsBucketOwnerOnly reports whether the request's headers set an ACL that
// grants only to the bucket's owner. The policies in AWS' user
// guide that demand such an ACL allow s3:PutObject without s3:PutObjectAcl.
func grantsBucketOwnerOnly(r *Request) bool {
	if r.Bucket == nil {
		return false
	}
	if canned := r.Header.Get("X-Amz-Acl"); canned != "" {
		return canned == "bucket-owner-full-control" || canned == "bucket-owner-read"
	}
	var grants []wantedGrant
	var err error
	for _, g := range grantHeaders {
		for _, value := range r.Header[g.header] {
			if grants, err = appendGrants(grants, g, value); err != nil {
				return false // the handler refuses it
			}
		}
	}
	return len(grants) > 0 && !slices.ContainsFunc(grants, func(g wantedGrant) bool {
		return g.kind != policy.CanonicalUser || g.who != r.Bucket.Owner
	})
}

// appendGrants parses the value of a grant header: id="…", uri=…, emailAddress=…
func appendGrants(grants []wantedGrant, g grantHeader, value string) ([]wantedGrant, error) {
	for part := range strings.SplitSeq(value, ",") {
		name, who, ok := strings.Cut(strings.TrimSpace(part), "=")
		who = strings.Trim(strings.TrimSpace(who), `"`)
		kind := grantKinds[strings.ToLower(strings.TrimSpace(name))]
		if !ok || who == "" || kind == "" {
			return nil, badArgument(strings.ToLower(g.header), value, "Argument format not recognized")
		}
		if len(grants) == maxGrants {
			return nil, failf(s3err.InvalidArgument, "An ACL has at most %d grants", maxGrants)
		}
		grants = append(grants, wantedGrant{kind, who, g.permission})
	}
	return grants, nil
}

// grantKinds maps the names in grant headers to types of grantees.
var grantKinds = map[string]string{"id": policy.CanonicalUser, "uri": policy.Group, "emailaddress": byEmail}

const byEmail = "AmazonCustomerByEmail"

// grantee returns a grant, without its permission, to a grantee of the type kind.
func (a *API) grantee(r *Request, kind, who string) (meta.Grant, error) {
	switch kind {
	case policy.Group:
		if !slices.Contains([]string{policy.AllUsers, policy.AuthenticatedUsers, policy.LogDelivery}, who) {
			return meta.Grant{}, badArgument("uri", who, "Invalid group uri")
		}
		return meta.Grant{Type: policy.Group, Grantee: who}, nil
	case policy.CanonicalUser:
		id, err := a.tenant(r.Context(), who, true)
		if err == nil && id == "" {
			err = badArgument("id", who, "Invalid id")
		}
		return meta.Grant{Type: policy.CanonicalUser, Grantee: id}, err
	case byEmail:
		id, err := a.tenant(r.Context(), who, false)
		if err == nil && id == "" {
			err = fail(s3err.UnresolvableGrantByEmailAddress).With("EmailAddress", who)
		}
		return meta.Grant{Type: policy.CanonicalUser, Grantee: id}, err
	}
	return meta.Grant{}, fail(s3err.MalformedACLError).WithHint("unknown type of grantee %.80q", kind)
}

// tenant resolves a canonical id or e-mail address.
func (a *API) tenant(ctx context.Context, who string, byID bool) (string, error) {
	tenants, ok := a.options.Keys.(Tenants)
	switch {
	case byID && who == AnonymousID:
		return who, nil
	case ok:
		return tenants.Tenant(ctx, who)
	case byID:
		return who, nil
	}
	return "", nil
}

// aclDocument is an AccessControlPolicy as a client sends it.
type aclDocument struct {
	Owner *struct{ ID, DisplayName string }
	List  *struct {
		Grants []struct {
			Grantee struct {
				Type                               string `xml:"type,attr"`
				ID, DisplayName, URI, EmailAddress string
			}
			Permission string
		} `xml:"Grant" max:"100"` // maxGrants
	} `xml:"AccessControlList"`
}

var permissions = []string{"READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"}

func (a *API) bodyACL(r *Request, owner string) (meta.ACL, error) {
	var doc aclDocument
	if err := r.DecodeXML(&doc, "AccessControlPolicy"); err != nil {
		if e := toError(err); e.Code == s3err.MalformedXML {
			e.Code = s3err.MalformedACLError
			return meta.ACL{}, e
		}
		return meta.ACL{}, err
	}
	acl := meta.ACL{Owner: owner}
	switch {
	case doc.Owner == nil || doc.List == nil:
		return acl, fail(s3err.MalformedACLError).WithHint("Owner and AccessControlList are both needed")
	case doc.Owner.ID != owner:
		return acl, fail(s3err.AccessDenied).WithHint("the owner of an ACL cannot be changed")
	}
	var grants []wantedGrant
	for _, x := range doc.List.Grants {
		kind, who := x.Grantee.Type, x.Grantee.ID
		switch kind {
		case policy.Group:
			who = x.Grantee.URI
		case byEmail:
			who = x.Grantee.EmailAddress
		}
		if !slices.Contains(permissions, x.Permission) || who == "" {
			return acl, fail(s3err.MalformedACLError).WithHint("a grant needs a grantee and one of the permissions %s", strings.Join(permissions, ", "))
		}
		grants = append(grants, wantedGrant{kind, who, x.Permission})
	}
	var err error
	acl.Grants, err = a.resolve(r, grants)
	return acl, err
}

// admitACL refuses an ACL that the bucket's public access block forbids.
// AccessDenied.
func admitACL(b *meta.Bucket, acl meta.ACL) error {
	block, err := publicAccessBlock(b)
	if err != nil {
		return err
	}
	if !block.AdmitsACL(toPolicyACL(acl)) {
		return fail(s3err.AccessDenied).WithHint("the bucket's public access block refuses public ACLs")
	}
	return nil
}

// aclFromHeaders returns the ACL of an object that the request writes and that
// owner ([Request.Owner]) will own. It depends on the x-amz-acl and x-amz-grant-*
// headers and on the bucket's ownership setting.
// Errors: AccessControlListNotSupported, AccessDenied, InvalidArgument.
func (a *API) aclFromHeaders(r *Request, owner string) (meta.ACL, error) {
	acl, given, err := a.headerACL(r, owner, r.Bucket.Owner)
	if err != nil || !given {
		return meta.ACL{}, err
	}
	if ownership(r.Bucket) == ownerEnforced {
		canned := r.Header.Get("X-Amz-Acl")
		if canned == bucketOwnerFullControl || canned == "" && onlyOwner(acl, r.Bucket.Owner) {
			return meta.ACL{}, nil
		}
		return meta.ACL{}, fail(s3err.AccessControlListNotSupported)
	}
	return acl, admitACL(r.Bucket, acl)
}

const bucketOwnerFullControl = "bucket-owner-full-control"

// onlyOwner reports whether header grants give FULL_CONTROL to owner and nothing else.
func onlyOwner(acl meta.ACL, owner string) bool {
	return len(acl.Grants) == 1 && acl.Grants[0] == meta.Grant{Type: policy.CanonicalUser, Grantee: owner, Permission: "FULL_CONTROL"}
}
