package s3api

import (
	"cmp"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/policy"
	"github.com/pithos/pithos/store"
)

// createBucketDocument is a CreateBucketConfiguration.
type createBucketDocument struct {
	LocationConstraint string
	Location           *struct{ Name, Type string }
	Bucket             *struct{ DataRedundancy, Type string }
	Tags               *struct {
		Tag []tagDocument
	}
}

// createBucket is CreateBucket.
func createBucket(a *API, w http.ResponseWriter, r *Request) error {
	in, err := a.createBucketInput(r)
	if err != nil {
		return err
	}
	b, err := a.store.CreateBucket(r.Context(), in)
	if s3err.CodeOf(err) == s3err.BucketAlreadyOwnedByYou {
		err = a.recreated(b, in, err)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/"+r.BucketName)
	w.Header().Set("X-Amz-Bucket-Arn", bucketARN(r.BucketName))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

// bucketARN is the Amazon resource name of a bucket.
func bucketARN(name string) string { return "arn:aws:s3:::" + name }

// recreated answers a CreateBucket of a bucket that the caller owns already. As on
// AWS it succeeds in us-east-1, if it would change nothing.
func (a *API) recreated(b *meta.Bucket, in store.CreateBucketInput, err error) error {
	if a.options.Region != "us-east-1" || b == nil {
		return err
	}
	was, asked := effective(b.Config.ACL, b.Owner), effective(in.ACL, in.Owner)
	if !slices.Equal(was.Grants, asked.Grants) {
		return fail(s3err.BucketAlreadyExists).With("BucketName", b.Name)
	}
	if in.Region != "" && in.Region != b.Config.ShownRegion() || in.LockEnabled && b.Config.Lock == nil || in.Ownership != b.Config.Ownership && in.Ownership != "" {
		return err
	}
	return nil
}

func (a *API) createBucketInput(r *Request) (store.CreateBucketInput, error) {
	in := store.CreateBucketInput{Name: r.BucketName, Owner: r.Caller.CanonicalID()}
	if err := a.createBucketDocument(r, &in); err != nil {
		return in, err
	}
	switch v := r.Header.Get("X-Amz-Bucket-Object-Lock-Enabled"); strings.ToLower(v) {
	case "", "false":
	case "true":
		in.LockEnabled = true
	default:
		return in, badArgument("x-amz-bucket-object-lock-enabled", v, "The value must be true or false")
	}
	switch v := r.Header.Get("X-Amz-Bucket-Namespace"); v {
	case "", "global":
	case "account-regional":
		return in, failf(s3err.NotImplemented, "Account regional namespaces of buckets are not implemented.").With("Header", "x-amz-bucket-namespace")
	default:
		return in, badArgument("x-amz-bucket-namespace", v, "The namespace must be global or account-regional")
	}
	in.Ownership = r.Header.Get("X-Amz-Object-Ownership")
	if in.Ownership != "" && !knownOwnership(in.Ownership) {
		return in, badArgument("x-amz-object-ownership", in.Ownership, "Invalid x-amz-object-ownership header: %.80s", in.Ownership)
	}
	acl, given, err := a.headerACL(r, in.Owner, in.Owner)
	if err != nil {
		return in, err
	}
	if given {
		in.ACL = acl
	}
	if given && cmp.Or(in.Ownership, a.store.Ownership()) == ownerEnforced && !onlyOwner(acl, in.Owner) {
		return in, fail(s3err.InvalidBucketAclWithObjectOwnership)
	}
	return in, nil
}

func (a *API) createBucketDocument(r *Request, in *store.CreateBucketInput) error {
	body, err := r.Document()
	if err != nil || len(body) == 0 {
		return err
	}
	var doc createBucketDocument
	if err := r.DecodeXML(&doc, "CreateBucketConfiguration", "CreateBucketRequest"); err != nil {
		return err
	}
	if doc.Location != nil || doc.Bucket != nil {
		return failf(s3err.NotImplemented, "Directory buckets are not implemented.")
	}
	in.Region = doc.LocationConstraint
	if doc.Tags != nil {
		if in.Tags, err = tagsOf(doc.Tags.Tag, maxBucketTags); err != nil {
			return err
		}
	}
	return nil
}

// headBucket is HeadBucket.
func headBucket(_ *API, w http.ResponseWriter, r *Request) error {
	w.Header().Set("x-amz-bucket-region", r.Bucket.Config.ShownRegion())
	w.Header().Set("x-amz-access-point-alias", "false")
	w.Header().Set("X-Amz-Bucket-Arn", bucketARN(r.BucketName))
	w.WriteHeader(http.StatusOK)
	return nil
}

// deleteBucket is DeleteBucket.
func deleteBucket(a *API, w http.ResponseWriter, r *Request) error {
	if err := a.store.DeleteBucket(r.Context(), r.Bucket); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type locationXML struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
	Location text     `xml:",chardata"`
}

// getBucketLocation is GetBucketLocation: the location constraint. Buckets of
// us-east-1 have none, unless they were created with that one.
func getBucketLocation(_ *API, w http.ResponseWriter, r *Request) error {
	c := &r.Bucket.Config
	if c.ShownRegion() == "us-east-1" && !c.RegionRequested {
		return writeXML(w, locationXML{})
	}
	return writeXML(w, locationXML{Location: text(c.ShownRegion())})
}

type versioningXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ VersioningConfiguration"`
	Status  string   `xml:",omitempty"`
}

func getBucketVersioning(_ *API, w http.ResponseWriter, r *Request) error {
	return writeXML(w, versioningXML{Status: r.Bucket.Config.Versioning})
}

// putBucketVersioning is PutBucketVersioning.
func putBucketVersioning(a *API, w http.ResponseWriter, r *Request) error {
	var doc struct{ Status, MfaDelete string }
	if err := r.DecodeXML(&doc, "VersioningConfiguration"); err != nil {
		return err
	}
	if doc.MfaDelete == "Enabled" || r.Header.Get("X-Amz-Mfa") != "" {
		return failf(s3err.NotImplemented, "MFA Delete is not implemented.")
	}
	if doc.Status == "" {
		return fail(s3err.IllegalVersioningConfigurationException)
	}
	if doc.Status != store.VersioningEnabled && doc.Status != store.VersioningSuspended || doc.MfaDelete != "" && doc.MfaDelete != "Disabled" {
		return malformedXML("Status is Enabled or Suspended, MfaDelete is Disabled")
	}
	_, err := a.store.UpdateBucket(r.Context(), r.Bucket, func(c *meta.BucketConfig) error {
		if c.Lock != nil && doc.Status == store.VersioningSuspended {
			return failf(s3err.InvalidBucketState, "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
		}
		c.Versioning = doc.Status
		return nil
	})
	return err
}

// bucketIsPublic reports whether ACL or policy allow access to everyone.
func (a *API) bucketIsPublic(b *meta.Bucket) (bool, error) {
	facts, err := a.bucketFacts(b)
	if err != nil {
		return false, err
	}
	aclCounts := facts.Ownership != policy.BucketOwnerEnforced && !facts.PublicAccessBlock.IgnorePublicAcls
	return aclCounts && facts.ACL.IsPublic() || facts.Policy.IsPublic() && !facts.PublicAccessBlock.RestrictPublicBuckets, nil
}
