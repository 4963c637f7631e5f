package store

import (
	"slices"
	"strings"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// empty reports whether there is no condition at all.
func (c *Conditions) empty() bool {
	return c.IfMatch == nil && c.IfNoneMatch == nil && c.IfModifiedSince.IsZero() && c.IfUnmodifiedSince.IsZero() &&
		c.IfMatchSize == nil && c.IfMatchLastModified.IsZero()
}

// etagListed reports whether the list of a header has etag, or "*", which means
// any.
func etagListed(list []string, etag string) bool {
	return slices.ContainsFunc(list, func(s string) bool {
		s = strings.Trim(strings.TrimPrefix(s, "W/"), `"`)
		return s == "*" || s == etag
	})
}

// unmet is the error of a condition that is false.
func unmet(header string) *s3err.Error {
	return s3err.New(s3err.PreconditionFailed).With("Condition", header)
}

// modifiedAfter compares at the resolution of HTTP dates: seconds.
func modifiedAfter(v *meta.Version, t time.Time) bool {
	return time.UnixMicro(v.Modified).Truncate(time.Second).After(t)
}

// read evaluates c for a GET or HEAD of v, in the order of RFC 9110, section
// 13.2.2. PreconditionFailed, or NotModified for If-None-Match and
// If-Modified-Since.
func (c *Conditions) read(v *meta.Version) error {
	if c.IfMatch != nil {
		if !etagListed(c.IfMatch, v.ETag) {
			return unmet("If-Match")
		}
	} else if !c.IfUnmodifiedSince.IsZero() && modifiedAfter(v, c.IfUnmodifiedSince) {
		return unmet("If-Unmodified-Since")
	}
	if c.IfNoneMatch != nil {
		if etagListed(c.IfNoneMatch, v.ETag) {
			return s3err.New(s3err.NotModified)
		}
	} else if !c.IfModifiedSince.IsZero() && !modifiedAfter(v, c.IfModifiedSince) {
		return s3err.New(s3err.NotModified)
	}
	return nil
}

// source evaluates c for the source of a copy. PreconditionFailed, also where read
// returns NotModified.
func (c *Conditions) source(v *meta.Version) error {
	err := c.read(v)
	if e, ok := err.(*s3err.Error); ok {
		return fail(s3err.PreconditionFailed, "%s", e.Text()).With("Condition", "x-amz-copy-source-If-*")
	}
	return err
}

// write evaluates c for a write that replaces current, which is nil or a delete
// marker if the key has no object. PreconditionFailed, NoSuchKey.
func (c *Conditions) write(current *meta.Version) error {
	exists := current != nil && !current.DeleteMarker
	if c.IfMatch != nil {
		if !exists {
			return fail(s3err.NoSuchKey, "The specified key does not exist.")
		}
		if !etagListed(c.IfMatch, current.ETag) {
			return unmet("If-Match")
		}
	}
	if c.IfNoneMatch != nil && exists && etagListed(c.IfNoneMatch, current.ETag) {
		return unmet("If-None-Match")
	}
	if !c.IfUnmodifiedSince.IsZero() && exists && modifiedAfter(current, c.IfUnmodifiedSince) {
		return unmet("If-Unmodified-Since")
	}
	if !c.IfModifiedSince.IsZero() && exists && !modifiedAfter(current, c.IfModifiedSince) {
		return unmet("If-Modified-Since")
	}
	return nil
}

// deleteCurrent evaluates c for a deletion that names no version. Without a
// current object (a delete marker is none) an If-Match fails: the client wants to
// delete what it has seen. With conditions on size and time only, the deletion of
// a missing key succeeds. (How to perform conditional deletes, S3 User Guide;
// DeleteObject, S3 API Reference.) NoSuchKey, PreconditionFailed.
func (c *Conditions) deleteCurrent(key string, current *meta.Version) error {
	if c.IfMatch != nil && (current == nil || current.DeleteMarker) {
		return noSuchKey(key)
	}
	return c.delete(current)
}

// delete evaluates c for the deletion of the version v. A version that is missing
// (nil) can always be deleted. A delete marker matches only "*".
// PreconditionFailed.
func (c *Conditions) delete(v *meta.Version) error {
	if v == nil {
		return nil
	}
	if c.IfMatch != nil {
		etag := v.ETag
		if v.DeleteMarker {
			etag = "\x00" // no ETag at all
		}
		if !etagListed(c.IfMatch, etag) {
			return unmet("If-Match")
		}
	}
	if c.IfMatchSize != nil && (v.DeleteMarker || v.Size != *c.IfMatchSize) {
		return unmet("x-amz-if-match-size")
	}
	if !c.IfMatchLastModified.IsZero() &&
		(v.DeleteMarker || !time.UnixMicro(v.Modified).Truncate(time.Second).Equal(c.IfMatchLastModified.Truncate(time.Second))) {
		return unmet("x-amz-if-match-last-modified-time")
	}
	return nil
}
