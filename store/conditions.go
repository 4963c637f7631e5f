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

// etagListed reports whether etag is in the list of a header; "*" is in none
// here but stands for any.
func etagListed(list []string, etag string) bool {
	return slices.ContainsFunc(list, func(s string) bool {
		s = strings.Trim(strings.TrimPrefix(s, "W/"), `"`)
		return s == "*" || s == etag
	})
}

func unmet(header string) *s3err.Error {
	return s3err.New(s3err.PreconditionFailed).With("Condition", header)
}

// sinceSeconds compares at the resolution of HTTP dates: seconds.
func modifiedAfter(v *meta.Version, t time.Time) bool {
	return time.UnixMicro(v.Modified).Truncate(time.Second).After(t)
}

// read evaluates c for a GET or HEAD of v, in the order of RFC 9110, section
// 13.2.2. A failed If-None-Match or If-Modified-Since is NotModified.
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

// source evaluates c for the source of a copy, where what would be "not
// modified" fails instead.
func (c *Conditions) source(v *meta.Version) error {
	err := c.read(v)
	if e, ok := err.(*s3err.Error); ok {
		return fail(s3err.PreconditionFailed, "%s", e.Text()).With("Condition", "x-amz-copy-source-If-*")
	}
	return err
}

// write evaluates c for a write over current, which is nil, or a delete
// marker, where the key has no object.
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
// current object, which a delete marker is not, an If-Match fails: the client
// wants to delete what it has seen. Conditions on size and time alone let the
// deletion of a key that is absent succeed. (How to perform conditional deletes,
// S3 User Guide; DeleteObject, S3 API Reference.)
func (c *Conditions) deleteCurrent(key string, current *meta.Version) error {
	if c.IfMatch != nil && (current == nil || current.DeleteMarker) {
		return noSuchKey(key)
	}
	return c.delete(current)
}

// delete evaluates c for the deletion of the version v. What is not there may
// always be deleted; a delete marker matches "*" only.
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
