package s3api

import (
	"cmp"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/store"
)

const parallelDeletes = 16

type deleteRequest struct {
	Quiet   bool
	Objects []deleteKey `xml:"Object" max:"1000"`
}

type deleteKey struct {
	Key              string
	VersionId        string  //nolint:revive // S3's spelling
	ETag             *string //
	LastModifiedTime *string
	Size             *int64
}

// conditions parses the conditions of the deletion of one key.
func (k *deleteKey) conditions() (c store.Conditions, err error) {
	if k.ETag != nil {
		c.IfMatch = []string{*k.ETag}
	}
	c.IfMatchSize = k.Size
	if k.LastModifiedTime != nil {
		var t time.Time
		if t, err = parseDate(*k.LastModifiedTime); err != nil {
			return c, malformedXML("LastModifiedTime %.80q is no date", *k.LastModifiedTime)
		}
		c.IfMatchLastModified = t
	}
	return c, nil
}

// deletions parses the document of a DeleteObjects and caches it: authorization and
// the handler both use it.
func deletions(r *Request) (*deleteRequest, error) {
	if r.deletions != nil {
		return r.deletions, nil
	}
	var doc deleteRequest
	data, err := r.Document()
	if err != nil {
		return nil, err
	}
	if err := decodeKeysXML(data, &doc, "Delete"); err != nil {
		return nil, err
	}
	if len(doc.Objects) == 0 {
		return nil, malformedXML("no object is named")
	}
	for _, o := range doc.Objects {
		if o.Key == "" {
			return nil, fail(s3err.UserKeyMustBeSpecified)
		}
	}
	r.deletions = &doc
	return r.deletions, nil
}

// deletedResources declares the deletion of each key. If the request bypasses
// GOVERNANCE retention, that is declared for each key after them.
func deletedResources(_ *API, r *Request) ([]Access, error) {
	doc, err := deletions(r)
	if err != nil {
		return nil, err
	}
	all := make([]Access, len(doc.Objects), 2*len(doc.Objects))
	for i, o := range doc.Objects {
		all[i] = Access{Bucket: r.Bucket, Key: o.Key, VersionID: o.VersionId, Action: "s3:DeleteObject", ContinueOnDeny: true}
		if o.ETag != nil {
			all[i].IfMatch = []string{*o.ETag}
		}
		if o.VersionId != "" {
			all[i].Action = "s3:DeleteObjectVersion"
		}
		if o.ETag != nil && *o.ETag != "*" || o.Size != nil || o.LastModifiedTime != nil {
			all[i].Also = ofVersion("s3:GetObject", o.VersionId) // as for the headers of DeleteObject
		}
	}
	if wantsBypass(r) {
		for _, o := range doc.Objects {
			all = append(all, Access{Bucket: r.Bucket, Key: o.Key, VersionID: o.VersionId, Action: bypassAction, ContinueOnDeny: true})
		}
	}
	return all, nil
}

func wantsBypass(r *Request) bool {
	return strings.EqualFold(r.Header.Get("X-Amz-Bypass-Governance-Retention"), "true")
}

const bypassAction = "s3:BypassGovernanceRetention"

// bypassResources declares that a request bypasses GOVERNANCE retention.
func bypassResources(_ *API, r *Request) ([]Access, error) {
	if !wantsBypass(r) {
		return nil, nil
	}
	return []Access{{Bucket: r.Bucket, Key: r.Key, VersionID: r.VersionID(), Action: bypassAction, ContinueOnDeny: true}}, nil
}

// bypassGovernance reports whether the request bypasses GOVERNANCE retention and
// the caller may do that.
func (r *Request) bypassGovernance() bool {
	for _, x := range r.Resources {
		if x.Action == bypassAction {
			return x.Err == nil
		}
	}
	return false
}

// copiedResources declares the source of a copy.
func copiedResources(a *API, r *Request) ([]Access, error) {
	c, b, err := a.source(r)
	if err != nil {
		return nil, err
	}
	if want := r.Header.Get("X-Amz-Source-Expected-Bucket-Owner"); want != "" && want != b.Owner {
		return nil, fail(s3err.AccessDenied)
	}
	replaceTags, err := directive(r.Header, "X-Amz-Tagging-Directive")
	if err != nil {
		return nil, err
	}
	return []Access{{Bucket: b, Key: c.key, VersionID: c.version, Action: ofVersion("s3:GetObject", c.version), Carried: !replaceTags}}, nil
}

// sourceFound returns the source of a copy as authorization has read it: only what
// the caller may read is copied. It is nil if authorization did not need the object.
func (r *Request) sourceFound() *store.Found {
	for i := range r.Resources {
		if a := r.Resources[i].Action; a == "s3:GetObject" || a == "s3:GetObjectVersion" {
			return r.Resources[i].found
		}
	}
	return nil
}

type deleteResult struct {
	XMLName struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Deleted []deletedKey
	Errors  []deleteError `xml:"Error"`
}

type deletedKey struct {
	Key                   text
	VersionId             string `xml:",omitempty"` //nolint:revive // S3's spelling
	DeleteMarker          bool   `xml:",omitempty"`
	DeleteMarkerVersionId string `xml:",omitempty"` //nolint:revive // S3's spelling
}

type deleteError struct {
	Key       text
	VersionId string `xml:",omitempty"` //nolint:revive // S3's spelling
	Code      string
	Message   text
}

// deleteObjects is DeleteObjects in the S3 API reference. An error of one key does
// not prevent the deletion of the others.
func deleteObjects(a *API, w http.ResponseWriter, r *Request) error {
	doc, err := deletions(r)
	if err != nil {
		return err
	}
	done, errs := make([]*store.DeleteResult, len(doc.Objects)), make([]error, len(doc.Objects))
	bypasses := r.Resources[len(doc.Objects):] // one each, or none
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallelDeletes)
	for i := range doc.Objects {
		slots <- struct{}{}
		if r.Context().Err() != nil {
			break // the client has disconnected
		}
		wg.Go(func() {
			defer func() { <-slots }()
			defer func() {
				if p := recover(); p != nil { // API.guarded does not cover this goroutine
					a.log.Sugar().Errorf("request %s: panic: %v\n%s", r.ID, p, debug.Stack())
					errs[i] = fail(s3err.InternalError)
				}
			}()
			if errs[i] = r.Resources[i].Err; errs[i] == nil {
				done[i], errs[i] = a.deleteOne(r, &doc.Objects[i], len(bypasses) > 0 && bypasses[i].Err == nil)
			}
		})
	}
	wg.Wait()
	if err := cmp.Or(r.Context().Err(), a.confirmDeletions(r, done, errs)); err != nil {
		return err
	}
	return writeXML(w, a.deleteResults(r, doc, done, errs))
}

// confirmDeletions confirms the bucket, once for all keys, if one of them had
// nothing to delete: see [store.DeleteResult].
func (a *API) confirmDeletions(r *Request, done []*store.DeleteResult, errs []error) error {
	for i, err := range errs {
		if errors.Is(err, store.ErrBucketRecreated) || s3err.CodeOf(err) == s3err.NoSuchBucket {
			return err
		}
		if err == nil && done[i] != nil && done[i].Nothing {
			return a.store.ConfirmBucket(r.Context(), r.Bucket)
		}
	}
	return nil
}

func (a *API) deleteOne(r *Request, k *deleteKey, bypass bool) (*store.DeleteResult, error) {
	c, err := k.conditions()
	if err != nil {
		return nil, err
	}
	return a.store.Delete(r.Context(), r.Bucket, k.Key, store.DeleteInput{VersionID: k.VersionId, Conditions: c, BypassGovernance: bypass, Owner: r.Owner()})
}

func (a *API) deleteResults(r *Request, doc *deleteRequest, done []*store.DeleteResult, errs []error) deleteResult {
	var out deleteResult
	for i, k := range doc.Objects {
		if errs[i] != nil {
			e := toError(errs[i])
			if e.Code == s3err.InternalError {
				a.log.Sugar().Errorf("request %s: deleting %q: %v", r.ID, k.Key, errs[i])
			}
			out.Errors = append(out.Errors, deleteError{text(k.Key), k.VersionId, string(e.Code), text(e.Text())})
			continue
		}
		if doc.Quiet {
			continue
		}
		d := deletedKey{Key: text(k.Key), VersionId: k.VersionId, DeleteMarker: done[i].DeleteMarker}
		if d.DeleteMarker {
			d.DeleteMarkerVersionId = done[i].VersionID
		}
		out.Deleted = append(out.Deleted, d)
	}
	return out
}
