package s3api

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// Limits of tags; lengths are in characters.
const (
	maxObjectTags = 10
	maxBucketTags = 50
	maxTagKey     = 128
	maxTagValue   = 256
)

// tagDocument is a Tag as a client sends it.
type tagDocument struct{ Key, Value string }

type taggingDocument struct {
	TagSet *struct {
		Tag []tagDocument
	}
}

// tagsOf enforces S3's rules for tags. InvalidTag.
func tagsOf(docs []tagDocument, limit int) ([]meta.Tag, error) {
	if len(docs) > limit {
		return nil, failf(s3err.InvalidTag, "There are %d tags, and %d are allowed.", len(docs), limit)
	}
	seen := map[string]bool{}
	var tags []meta.Tag
	for _, t := range docs {
		if err := checkTag(t); err != nil {
			return nil, err
		}
		if seen[t.Key] {
			return nil, failf(s3err.InvalidTag, "Cannot provide multiple Tags with the same key").With("TagKey", t.Key)
		}
		seen[t.Key] = true
		tags = append(tags, meta.Tag{Key: t.Key, Value: t.Value})
	}
	slices.SortFunc(tags, func(a, b meta.Tag) int { return strings.Compare(a.Key, b.Key) }) // a set: listed by key
	return tags, nil
}

func checkTag(t tagDocument) error {
	switch n := utf8.RuneCountInString(t.Key); {
	case n == 0 || n > maxTagKey || !tagCharacters(t.Key):
		return failf(s3err.InvalidTag, "The TagKey you have provided is invalid").With("TagKey", t.Key)
	case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
		return failf(s3err.InvalidTag, "System tags cannot be added/updated by requester").With("TagKey", t.Key)
	case utf8.RuneCountInString(t.Value) > maxTagValue || !tagCharacters(t.Value):
		return failf(s3err.InvalidTag, "The TagValue you have provided is invalid").With("TagKey", t.Key).With("TagValue", t.Value)
	}
	return nil
}

// tagCharacters are letters, digits and spaces of any script, and + - = . _ : / @
func tagCharacters(s string) bool {
	for _, c := range s {
		if !unicode.IsLetter(c) && !unicode.IsNumber(c) && !unicode.IsMark(c) && !unicode.Is(unicode.Zs, c) && !strings.ContainsRune("+-=._:/@", c) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// taggingHeader parses x-amz-tagging, which is encoded as a query. InvalidTag,
// InvalidArgument.
func taggingHeader(v string) ([]meta.Tag, error) {
	if v == "" {
		return nil, nil
	}
	var docs []tagDocument
	for part := range strings.SplitSeq(v, "&") {
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		key, err := url.QueryUnescape(key)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return nil, badArgument("x-amz-tagging", v, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
		}
		docs = append(docs, tagDocument{Key: key, Value: value})
	}
	return tagsOf(docs, maxObjectTags)
}

// parseTags reads a Tagging document.
func parseTags(r *Request, limit int) ([]meta.Tag, error) {
	var doc taggingDocument
	if err := r.DecodeXML(&doc, "Tagging"); err != nil {
		return nil, err
	}
	if doc.TagSet == nil {
		return nil, malformedXML("there is no TagSet")
	}
	return tagsOf(doc.TagSet.Tag, limit)
}

type taggingXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
	TagSet  struct {
		Tag []tagXML
	}
}

type tagXML struct{ Key, Value text }

// writeTags answers with tags, sorted by key.
func writeTags(w http.ResponseWriter, tags []meta.Tag) error {
	var out taggingXML
	for _, t := range slices.SortedFunc(slices.Values(tags), func(a, b meta.Tag) int { return strings.Compare(a.Key, b.Key) }) {
		out.TagSet.Tag = append(out.TagSet.Tag, tagXML{text(t.Key), text(t.Value)})
	}
	return writeXML(w, out)
}

// getBucketTagging is GetBucketTagging.
func getBucketTagging(_ *API, w http.ResponseWriter, r *Request) error {
	if len(r.Bucket.Config.Tags) == 0 {
		return fail(s3err.NoSuchTagSet)
	}
	return writeTags(w, r.Bucket.Config.Tags)
}

// putBucketTagging is PutBucketTagging.
func putBucketTagging(a *API, w http.ResponseWriter, r *Request) error {
	tags, err := parseTags(r, maxBucketTags)
	if err != nil {
		return err
	}
	return a.setBucketTags(w, r, tags, http.StatusOK)
}

// deleteBucketTagging is DeleteBucketTagging.
func deleteBucketTagging(a *API, w http.ResponseWriter, r *Request) error {
	return a.setBucketTags(w, r, nil, http.StatusNoContent)
}

func (a *API) setBucketTags(w http.ResponseWriter, r *Request, tags []meta.Tag, status int) error {
	_, err := a.store.UpdateBucket(r.Context(), r.Bucket, func(c *meta.BucketConfig) error {
		c.Tags = tags
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(status)
	return nil
}

// getObjectTagging is GetObjectTagging.
func getObjectTagging(a *API, w http.ResponseWriter, r *Request) error {
	v, id, err := a.version(r.Context(), r.Bucket, r.Key, r.VersionID())
	if err != nil {
		return err
	}
	setVersionID(w, id)
	return writeTags(w, v.Tags)
}

// putObjectTagging is PutObjectTagging.
func putObjectTagging(a *API, w http.ResponseWriter, r *Request) error {
	tags, err := parseTags(r, maxObjectTags)
	if err != nil {
		return err
	}
	return a.setObjectTags(w, r, tags, http.StatusOK)
}

// deleteObjectTagging is DeleteObjectTagging.
func deleteObjectTagging(a *API, w http.ResponseWriter, r *Request) error {
	return a.setObjectTags(w, r, nil, http.StatusNoContent)
}

func (a *API) setObjectTags(w http.ResponseWriter, r *Request, tags []meta.Tag, status int) error {
	_, id, err := a.store.UpdateVersion(r.Context(), r.Bucket, r.Key, r.VersionID(), func(v *meta.Version) error {
		v.Tags = tags
		return nil
	})
	if err != nil {
		return err
	}
	setVersionID(w, id)
	w.WriteHeader(status)
	return nil
}
