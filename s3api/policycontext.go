package s3api

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/policy"
	"github.com/pithos/pithos/store"
)

// contextHeaders are the headers that are condition keys under their own name.
var contextHeaders = []string{
	"x-amz-acl", "x-amz-content-sha256", "x-amz-copy-source", "x-amz-grant-full-control", "x-amz-grant-read",
	"x-amz-grant-read-acp", "x-amz-grant-write", "x-amz-grant-write-acp", "x-amz-metadata-directive",
	"x-amz-object-ownership", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
	"x-amz-server-side-encryption-customer-algorithm", "x-amz-storage-class", "x-amz-website-redirect-location",
	"if-match", "if-none-match",
}

// contextParams are the query parameters that are condition keys.
var contextParams = []string{"prefix", "delimiter", "max-keys"}

// policyContext is what the condition keys of a bucket policy ask of a request.
func (a *API) policyContext(r *Request, x *Access) (policy.Context, error) {
	c := policy.Context{}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		c.Set("aws:SourceIp", host)
	}
	c.Set("aws:SecureTransport", strconv.FormatBool(r.TLS != nil))
	setHeader(c, "aws:UserAgent", r.Header, "User-Agent")
	setHeader(c, "aws:Referer", r.Header, "Referer")
	for _, name := range contextHeaders {
		setHeader(c, "s3:"+name, r.Header, name)
	}
	for _, name := range contextParams {
		if r.Has(name) {
			c.Set("s3:"+name, r.Query().Get(name))
		}
	}
	if x.VersionID != "" {
		c.Set("s3:VersionId", x.VersionID)
	}
	for _, t := range x.Bucket.Config.Tags {
		c.Set("s3:BucketTag/"+t.Key, t.Value)
	}
	a.setSignature(c, r)
	return c, a.setDocumentContext(c, r)
}

// setHeader sets a key from a header. A header without a value is absent.
func setHeader(c policy.Context, key string, h http.Header, name string) {
	if value := strings.Join(h.Values(name), ","); value != "" {
		c.Set(key, value)
	}
}

// setSignature tells how the request was signed.
func (a *API) setSignature(c policy.Context, r *Request) {
	if r.TLS != nil {
		// 0x0303 is TLS 1.2, and so on.
		c.Set("s3:TlsVersion", strconv.FormatFloat(1+float64(int(r.TLS.Version)-0x0301)/10, 'f', 1, 64))
	}
	if r.Caller.Anonymous() {
		return
	}
	c.Set("s3:authType", r.authType)
	c.Set("s3:signatureversion", r.signatureVersion)
	if !r.signed.IsZero() {
		c.Set("s3:signatureAge", strconv.FormatInt(max(0, a.options.Now().Sub(r.signed).Milliseconds()), 10))
	}
}

// setDocumentContext adds the keys that headers or the body of some
// operations hold: tags, retention and legal hold to be.
func (a *API) setDocumentContext(c policy.Context, r *Request) error {
	tags, err := taggingHeader(r.Header.Get("X-Amz-Tagging"))
	if err != nil {
		return err
	}
	var lock store.Attributes
	if err := lockHeaders(r.Header, a.options.Now(), &lock); err != nil {
		return err
	}
	retention, hold, holdGiven := lock.Retention, lock.LegalHold, lock.LegalHold || lock.HoldOff
	switch r.Op.Name {
	case "PutObjectTagging":
		tags, err = givenTags(r, maxObjectTags)
	case "PutObjectRetention":
		retention, err = a.givenRetention(r)
	case "PutObjectLegalHold":
		holdGiven = true
		hold, err = givenLegalHold(r)
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
