package s3api

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/policy"
	"github.com/pithos/pithos/store"
)

// policyContext returns the values of condition keys that are the same for all
// accesses of a request to a bucket. policy.Keys is the table of keys and of the
// actions that have them: a value for an action that does not have the key is
// ignored.
func (a *API) policyContext(r *Request, b *meta.Bucket) (policy.Context, error) {
	c := policy.Context{}
	setFromTable(c, r, false)
	if r.Client.Address.IsValid() {
		c.Set("aws:SourceIp", r.Client.Address.String())
	}
	c.Set("aws:SecureTransport", strconv.FormatBool(r.Client.Secure))
	setCopySource(c, r)
	c.Set("aws:RequestedRegion", cmp.Or(b.Config.ShownRegion(), a.options.Region))
	c.Set("s3:ObjectCreationOperation", strconv.FormatBool(!uploadsInParts[r.Op.Name]))
	for _, t := range b.Config.Tags {
		c.Set("s3:BucketTag/"+t.Key, t.Value)
	}
	a.setSignature(c, r)
	return c, a.setDocumentContext(c, r)
}

// setFromTable sets the keys whose values are headers or parameters of the request:
// those that are Own, or the others.
func setFromTable(c policy.Context, r *Request, own bool) {
	for _, k := range policy.Keys() {
		switch {
		case k.Own != own:
		case k.Header != "":
			setHeader(c, k.Name, r.Header, k.Header)
		case k.Param != "" && r.Has(k.Param):
			c.Set(k.Name, r.Query().Get(k.Param))
		}
	}
}

// setCopySource sets the source of a copy in one spelling. The header may have it
// with and without a leading slash, encoded, and with a version; a Deny of an
// object must apply to all of these. Policies are written both with the slash and
// without.
func setCopySource(c policy.Context, r *Request) {
	v := r.Header.Get("X-Amz-Copy-Source")
	if v == "" {
		return
	}
	if source, err := parseCopySource(v); err == nil {
		v = source.bucket + "/" + source.key
		c.Set("s3:x-amz-copy-source", v, "/"+v)
	}
}

// uploadsInParts are the writes with s3:PutObject that do not create an object yet.
// (User guide, "Enforce conditional writes on Amazon S3 buckets".)
var uploadsInParts = map[string]bool{"CreateMultipartUpload": true, "UploadPart": true, "UploadPartCopy": true}

// accessContext returns the values of condition keys for one access of a request.
func accessContext(r *Request, x *Access) policy.Context {
	c := policy.Context{}
	setFromTable(c, r, true)
	if x.VersionID != "" {
		c.Set("s3:VersionId", x.VersionID)
	}
	if x.ContinueOnDeny && r.Op.Scope == ScopeBucket {
		// Each key of a DeleteObjects has its own ETag. The header does not apply.
		c.Set("s3:if-match", x.IfMatch...)
	} else {
		setHeader(c, "s3:if-match", r.Header, "If-Match")
	}
	return c
}

// setHeader sets a key from a header. A header without a value is absent.
func setHeader(c policy.Context, key string, h http.Header, name string) {
	if value := strings.Join(h.Values(name), ","); value != "" {
		c.Set(key, value)
	}
}

// setSignature sets the keys that describe the signature.
func (a *API) setSignature(c policy.Context, r *Request) {
	// Behind a proxy the version of the client's TLS is not known.
	forwarded := r.Client.Proxy != "" && (r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("X-Forwarded-Proto") != "" || r.Header.Get("Forwarded") != "")
	if r.TLS != nil && !forwarded {
		// 0x0303 is TLS 1.2, and so on.
		c.Set("s3:TlsVersion", strconv.FormatFloat(1+float64(int(r.TLS.Version)-0x0301)/10, 'f', 1, 64))
	}
	setHeader(c, "s3:x-amz-content-sha256", r.Header, "X-Amz-Content-Sha256")
	if r.Caller.Anonymous() {
		return
	}
	c.Set("s3:authType", r.authType)
	if r.payload != "" {
		c.Set("s3:x-amz-content-sha256", r.payload)
	}
	c.Set("s3:signatureversion", r.signatureVersion)
	if !r.signed.IsZero() {
		c.Set("s3:signatureAge", strconv.FormatInt(max(0, a.options.Now().Sub(r.signed).Milliseconds()), 10))
	}
}

// setDocumentContext sets the keys whose values are in headers or the body of some
// operations: new tags, retention and legal hold.
func (a *API) setDocumentContext(c policy.Context, r *Request) error {
	tags, err := taggingHeader(r.Header.Get("X-Amz-Tagging"))
	if err != nil {
		return err
	}
	tags = append(tags, r.carriedTags...)
	var lock store.Attributes
	if err := lockHeaders(r.Header, a.options.Now(), &lock); err != nil {
		return err
	}
	retention, hold, holdGiven := lock.Retention, lock.LegalHold, lock.LegalHold || lock.LegalHoldReleased
	switch r.Op.Name {
	case "PutObjectTagging":
		tags, err = parseTags(r, maxObjectTags)
	case "PutObjectRetention":
		retention, err = a.parseRetention(r)
	case "PutObjectLegalHold":
		holdGiven = true
		hold, err = parseLegalHold(r)
	}
	if err != nil {
		return err
	}
	a.setTags(c, tags)
	a.setRetention(c, retention)
	if holdGiven {
		c.Set("s3:object-lock-legal-hold", holdStatus(hold))
	}
	return nil
}

func (a *API) setTags(c policy.Context, tags []meta.Tag) {
	var keys []string
	for _, t := range tags {
		c.Set("s3:RequestObjectTag/"+t.Key, t.Value)
		keys = append(keys, t.Key)
	}
	c.Set("s3:RequestObjectTagKeys", keys...)
}

func (a *API) setRetention(c policy.Context, retention *meta.Retention) {
	if retention == nil {
		return
	}
	until := time.UnixMicro(retention.Until).UTC()
	c.Set("s3:object-lock-mode", retention.Mode)
	c.Set("s3:object-lock-retain-until-date", until.Format(time.RFC3339))
	c.Set("s3:object-lock-remaining-retention-days", strconv.Itoa(int(until.Sub(a.options.Now()).Hours()/24)))
}
