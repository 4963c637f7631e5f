package s3api_test

import (
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/meta/metatest"
)

// listed is a page of any of the listings.
type listed struct {
	IsTruncated                     bool
	NextMarker                      string
	NextContinuationToken           string
	NextKeyMarker                   string
	NextVersionIdMarker             string //nolint:revive // S3's spelling
	NextUploadIdMarker              string //nolint:revive // S3's spelling
	KeyCount                        *int
	EncodingType, Delimiter, Prefix string
	Contents, Version               []listedKey
	DeleteMarker, Upload            []listedKey
	CommonPrefixes                  []struct{ Prefix string }
}

type listedKey struct {
	Key, VersionId, UploadId, ETag, StorageClass string //nolint:revive // S3's spelling
	IsLatest                                     bool
	Size                                         int64
}

// items returns keys, versions as key@id, and prefixes, sorted.
func (l *listed) items() []string {
	var all []string
	for _, k := range slices.Concat(l.Contents, l.Version, l.DeleteMarker, l.Upload) {
		item := k.Key
		if id := k.VersionId + k.UploadId; id != "" {
			item += "@" + id
		}
		all = append(all, item)
	}
	for _, p := range l.CommonPrefixes {
		all = append(all, p.Prefix+"*")
	}
	return all
}

// list requests one page, with encoding-type=url: XML cannot contain every character
// of a key.
func (x *apiTest) list(q url.Values) *listed {
	x.Helper()
	q.Set("encoding-type", "url")
	r := x.raw("GET", "?"+strings.ReplaceAll(q.Encode(), "+", "%20"), "").want(200, "")
	var l listed
	// The first listing does not encode its prefix; encoding/xml refuses these characters.
	body := strings.NewReplacer("&#x0;", "", "&#x1;", "", "&#xfffe;", "", "&#xffff;", "").Replace(r.body)
	assert.NoError(x, xml.Unmarshal([]byte(body), &l))
	decode := func(s *string) {
		var err error
		*s, err = url.QueryUnescape(*s)
		assert.NoError(x, err)
	}
	for _, keys := range [][]listedKey{l.Contents, l.Version, l.DeleteMarker, l.Upload} {
		for i := range keys {
			decode(&keys[i].Key)
		}
	}
	for i := range l.CommonPrefixes {
		decode(&l.CommonPrefixes[i].Prefix)
	}
	decode(&l.NextMarker)
	decode(&l.NextKeyMarker)
	return &l
}

// pages reads all pages of a listing, with size items in a page.
func (x *apiTest) pages(kind string, size int, q url.Values) []string {
	x.Helper()
	q = url.Values{"prefix": q["prefix"], "delimiter": q["delimiter"]}
	most := "max-keys"
	switch kind {
	case "v2":
		q.Set("list-type", "2")
	case "versions":
		q.Set("versions", "")
	case "uploads":
		q.Set("uploads", "")
		most = "max-uploads"
	}
	q.Set(most, fmt.Sprint(size))
	var all []string
	for range 300 {
		l := x.list(q)
		got := l.items()
		if len(got) > size || l.IsTruncated && len(got) != size {
			x.Fatalf("%d items on a page of %d, truncated %t", len(got), size, l.IsTruncated)
		}
		all = append(all, got...)
		if !l.IsTruncated {
			slices.Sort(all)
			return all
		}
		switch kind {
		case "v1":
			next := l.NextMarker
			if next == "" { // only with a delimiter
				next = got[len(got)-1]
			}
			q.Set("marker", next)
		case "v2":
			q.Set("continuation-token", l.NextContinuationToken)
		case "versions":
			q.Set("key-marker", l.NextKeyMarker)
			q.Set("version-id-marker", l.NextVersionIdMarker)
			if l.NextVersionIdMarker == "" {
				q.Del("version-id-marker")
			}
		case "uploads":
			q.Set("key-marker", l.NextKeyMarker)
			q.Set("upload-id-marker", l.NextUploadIdMarker)
		}
	}
	x.Fatalf("%s: the listing has no end: %v", kind, q)
	return nil
}

var treeKeys = []string{"a", "a/", "a/b", "a/b/c", "a/b/d", "a//", "a-b", "ab", "b/1", "b/2", "b0", "c\x01/x", "c/é/ü", "c/é/z", "d d+d%", "ÿ", "\U0010ffff"}

// Pages of one item give exactly the same as one page, for every prefix and
// delimiter, and that equals a model of S3's rules.
func TestListingOneKeyAtATimeGivesExactlyTheFullSet(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		var versions, uploads []string
		for i, key := range treeKeys {
			for range 1 + i%2 {
				versions = append(versions, key+"@"+*x.put(key, "body").VersionId)
			}
			if i%3 == 0 {
				uploads = append(uploads, key+"@"+x.upload(key), key+"@"+x.upload(key))
			}
		}
		gone, err := x.c.DeleteObject(x.Context(), &s3.DeleteObjectInput{Bucket: &x.bucket, Key: aws.String("a/gone")})
		assert.NoError(x, err)
		versions = append(versions, "a/gone@"+*gone.VersionId)
		for _, prefix := range []string{"", "a/", "c", "zzz"} {
			for _, delimiter := range []string{"", "/", "b", "//"} {
				q := url.Values{"prefix": {prefix}, "delimiter": {delimiter}}
				for kind, keys := range map[string][]string{"v1": treeKeys, "v2": treeKeys, "versions": versions, "uploads": uploads} {
					want := rolledUp(keys, prefix, delimiter)
					for _, size := range []int{1, 3, 1000} {
						if got := x.pages(kind, size, q); !slices.Equal(got, want) {
							x.Errorf("%s, prefix %q, delimiter %q, %d a page:\n got %q\nwant %q", kind, prefix, delimiter, size, got, want)
						}
					}
				}
			}
		}
	})
}

// rolledUp returns the expected listing of keys.
func rolledUp(keys []string, prefix, delimiter string) []string {
	seen := map[string]bool{}
	var out []string
	for _, item := range keys {
		key, _, _ := strings.Cut(item, "@")
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if i := strings.Index(key[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			item = key[:len(prefix)+i+len(delimiter)] + "*"
			if seen[item] {
				continue
			}
			seen[item] = true
		}
		out = append(out, item)
	}
	slices.Sort(out)
	return out
}

// Prefixes, delimiters and markers may end with any character: the bounds of the
// range to read are computed from them.
func TestListingsOfEveryCharacter(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		var keys, versions, uploads []string
		chars := metatest.Characters()
		for i, c := range chars {
			next := string(chars[(i+1)%len(chars)])
			for _, key := range []string{"p" + string(c), "p" + string(c) + next + string(c), string(c) + "/x"} {
				keys = append(keys, key)
				versions = append(versions, key+"@"+*x.put(key, "body").VersionId)
			}
			key := "p" + string(c) + "u"
			_, begun, _ := strings.Cut(x.raw("POST", "/"+escapeKey(key)+"?uploads", "").want(200, "").body, "<UploadId>")
			id, _, _ := strings.Cut(begun, "<")
			uploads = append(uploads, key+"@"+id)
		}
		slices.Sort(keys)
		keys = slices.Compact(keys)
		x.order(keys)
		rng := rand.New(rand.NewPCG(1, 2))
		for i, c := range chars {
			prefix, delimiter := []string{"", "p", "p" + string(c), string(c)}[rng.IntN(4)], []string{"", string(c), string(c) + "/"}[rng.IntN(3)]
			if i%2 == 0 {
				prefix, delimiter = "p"+string(c), ""
			} else if i%3 == 0 {
				prefix, delimiter = "p", string(c)
			}
			q := url.Values{"prefix": {prefix}, "delimiter": {delimiter}}
			for kind, all := range map[string][]string{"v1": keys, "v2": keys, "versions": versions, "uploads": uploads} {
				want := rolledUp(all, prefix, delimiter)
				size := 1000
				if i%8 == 1 {
					size = 7
				}
				if got := x.pages(kind, size, q); !slices.Equal(got, want) {
					x.Errorf("%s, prefix %q, delimiter %q, %d a page:\n got %q\nwant %q", kind, prefix, delimiter, size, got, want)
				}
			}
			marker := "p" + string(c)
			want := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k <= marker })
			for _, q := range []url.Values{{"marker": {marker}}, {"list-type": {"2"}, "start-after": {marker}}} {
				if got := x.list(q).items(); !slices.Equal(got, want) {
					x.Errorf("%v: got %q, want %q", q, got, want)
				}
			}
		}
	})
}

// Prefixes and markers may be longer than any key, and longer than the limit of the
// database. The answer follows the same rules as for short ones.
func TestListingsOfLongPrefixesAndMarkers(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		most := strings.Repeat("ü", 512)
		for _, key := range []string{"a", most, "z"} {
			x.put(key, "body")
			x.upload(key)
		}
		for _, listing := range []string{"?", "?list-type=2&", "?versions&", "?uploads&"} {
			for _, n := range []int{513, 516, 3000} { // three of the last one fit into service.max-header
				long := url.QueryEscape(strings.Repeat("ü", n))
				for query, want := range map[string]string{
					"prefix=" + long: "", "prefix=" + long + "&delimiter=" + long: "", "delimiter=" + long: "a ü z",
					"marker=" + long + "&start-after=" + long + "&key-marker=" + long:                       "",
					"marker=a" + long + "&start-after=a" + long + "&key-marker=a" + long:                    "z ü",
					"marker=a" + long + "&start-after=a" + long + "&key-marker=a" + long + "&prefix=%C3%BC": "ü",
				} {
					r := x.raw("GET", listing+query+"&encoding-type=url", "").want(200, "")
					var got []string
					for _, key := range []string{"a", "z", most} {
						if strings.Contains(r.body, "<Key>"+escapeKey(key)+"</Key>") {
							got = append(got, string([]rune(key)[:1]))
						}
					}
					if slices.Sort(got); strings.Join(got, " ") != strings.Join(slices.Sorted(slices.Values(strings.Fields(want))), " ") {
						x.Errorf("%s%.30s..., %d characters: got %q, want %q", listing, query, n, got, want)
					}
				}
			}
		}
		long := url.QueryEscape(strings.Repeat("ü", 9000))
		id := x.upload("a")
		version := *x.put("a", "body").VersionId
		x.raw("GET", "?versions&key-marker="+long+"&version-id-marker="+version, "").want(200, "")
		x.raw("GET", "?uploads&key-marker="+long+"&upload-id-marker="+id, "").want(200, "")
	})
}

// Text that is not UTF-8 is a client error in every parameter.
func TestTextThatIsNotUTF8IsRefused(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		for _, bad := range []string{"%FF", "a%C3", "%ED%A0%80", "%C0%80", "%F4%90%80%80"} {
			for _, uri := range []string{"?prefix=", "?delimiter=", "?marker=", "?list-type=2&start-after=", "?list-type=2&prefix=", "?versions&prefix=",
				"?versions&key-marker=", "?versions&key-marker=k&version-id-marker=", "?uploads&prefix=", "?uploads&key-marker=", "?uploads&key-marker=k&upload-id-marker=",
				"/k?versionId=", "/k?uploadId=", "/"} {
				x.raw("GET", uri+bad, "").want(400, "InvalidURI")
			}
			x.raw("PUT", "/"+bad, "body").want(400, "InvalidURI")
			x.raw("DELETE", "/"+bad, "").want(400, "InvalidURI")
			x.raw("POST", "/"+bad+"?uploads", "").want(400, "InvalidURI")
			x.raw("PUT", "/copy", "", "X-Amz-Copy-Source", x.bucket+"/"+bad).want(400, "InvalidArgument")
			x.raw("PUT", "/copy", "", "X-Amz-Copy-Source", "bucket"+bad+"/k").want(400, "InvalidArgument")
			x.raw("PUT", "/copy?renameObject", "", "X-Amz-Rename-Source", bad).want(400, "InvalidArgument")
			x.raw("PUT", "/k", "body", "X-Amz-Tagging", "a="+bad).want(400, "InvalidTag")
			x.raw("PUT", "/k", "body", "X-Amz-Tagging", bad+"=a").want(400, "InvalidTag")
			plain, err := url.PathUnescape(bad)
			assert.NoError(x, err)
			doc := "<Delete><Object><Key>" + plain + "</Key></Object></Delete>"
			x.raw("POST", "?delete", doc, sumHeader("CRC32"), sumOf("CRC32", doc)).want(400, "MalformedXML")
			doc = "<Delete><Object><Key>k</Key><VersionId>" + plain + "</VersionId></Object></Delete>"
			x.raw("POST", "?delete", doc, sumHeader("CRC32"), sumOf("CRC32", doc)).want(400, "MalformedXML")
			doc = "<Tagging><TagSet><Tag><Key>" + plain + "</Key><Value>v</Value></Tag></TagSet></Tagging>"
			x.raw("PUT", "?tagging", doc, sumHeader("CRC32"), sumOf("CRC32", doc)).want(400, "MalformedXML")
			in := *x
			in.bucket = "bucket" + bad
			in.raw("PUT", "", "").want(400, "InvalidBucketName")
			in.raw("GET", "", "").want(400, "InvalidBucketName")
		}
		long := strings.Repeat("k", 9000)
		for _, id := range []string{"\xff", "\xc3", long, strings.Repeat("\u00fc", 5000)} {
			now := time.Now().UTC().Format(http.TimeFormat)
			x.as(s3test.Key{}, "GET", "/"+x.bucket, "", "Date", now, "Authorization", "AWS "+id+":c2ln").want(403, "InvalidAccessKeyId")
		}
		x.raw("PUT", "/copy", "", "X-Amz-Copy-Source", x.bucket+"/"+long).want(400, "KeyTooLongError")
		x.raw("PUT", "/copy", "", "X-Amz-Copy-Source", long+"/k").want(404, "NoSuchBucket")
		x.raw("PUT", "/copy?renameObject", "", "X-Amz-Rename-Source", long).want(400, "KeyTooLongError")
	})
}

// The prefix of a listing of buckets may end with any character, too.
func TestListingBucketsWithAnyPrefix(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		list := func(prefix string) string {
			in := *x
			in.bucket = ""
			return in.raw("GET", "?prefix="+url.QueryEscape(prefix), "").want(200, "").body
		}
		for _, c := range metatest.Characters() {
			for _, prefix := range []string{string(c), "b" + string(c), x.bucket + string(c)} {
				if got := strings.Contains(list(prefix), "<Name>"+x.bucket+"</Name>"); got != strings.HasPrefix(x.bucket, prefix) {
					x.Errorf("prefix %q: listed %t", prefix, got)
				}
			}
		}
		for i := range x.bucket {
			if prefix := x.bucket[:i+1]; !strings.Contains(list(prefix), "<Name>"+x.bucket+"</Name>") {
				x.Errorf("prefix %q does not list %q", prefix, x.bucket)
			}
		}
		list(strings.Repeat("b", 9000))
	})
}

// A marker is a position in the order of all keys. It need not be a key, nor have
// the prefix.
func TestListingFromAnyMarker(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		keys := []string{"a1", "a2", "b1", "b2", "c1"}
		ids := map[string][]string{}
		for _, key := range keys {
			for range 2 {
				ids[key] = append(ids[key], *x.put(key, "body").VersionId)
			}
		}
		for _, marker := range []string{"a", "a1", "a1\x00", "a9", "b", "b1", "b11", "b2", "b3", "c1", "zz"} {
			for _, prefix := range []string{"", "b", "b2"} {
				var want []string
				for _, key := range keys {
					if key > marker && strings.HasPrefix(key, prefix) {
						want = append(want, key)
					}
				}
				for _, q := range []url.Values{{"marker": {marker}}, {"list-type": {"2"}, "start-after": {marker}}} {
					q.Set("prefix", prefix)
					if got := x.list(q).items(); !slices.Equal(got, want) {
						x.Errorf("%v: got %q, want %q", q, got, want)
					}
				}
				versions := len(want) * 2
				q := url.Values{"versions": {""}, "key-marker": {marker}, "prefix": {prefix}}
				if got := x.list(q).items(); len(got) != versions {
					x.Errorf("%v: got %q", q, got)
				}
				if ids[marker] != nil { // the newer of the two: the older one follows
					q.Set("version-id-marker", ids[marker][1])
					if strings.HasPrefix(marker, prefix) {
						versions++
					}
					if got := x.list(q).items(); len(got) != versions {
						x.Errorf("%v: got %q, want %d", q, got, versions)
					}
				}
			}
		}
	})
}

// In each of the listings, a common prefix that is not greater than the marker is
// left out, with all its keys.
func TestACommonPrefixThatIsNotAfterTheMarkerIsLeftOut(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		keys := []string{"a", "a/", "a/1", "a/2", "a//b", "a//c", "b/1", "c", "п/1", "п/2", "\U0010ffff/1"}
		for _, key := range keys {
			x.put(key, "body")
			x.upload(key)
		}
		for _, delimiter := range []string{"/", "//"} {
			for _, prefix := range []string{"", "a", "п/"} {
				for _, marker := range []string{"a", "a.", "a/", "a/0", "a/1", "a/2", "a/3", "a//", "a//b", "b", "b/", "b/1", "п", "п/", "п/1", "\U0010ffff/", "\U0010ffff/2"} {
					var want []string
					for _, item := range rolledUp(keys, prefix, delimiter) {
						if strings.TrimSuffix(item, "*") > marker {
							want = append(want, item)
						}
					}
					for _, q := range []url.Values{{"marker": {marker}}, {"list-type": {"2"}, "start-after": {marker}},
						{"versions": {""}, "key-marker": {marker}}, {"uploads": {""}, "key-marker": {marker}},
						{"uploads": {""}, "key-marker": {marker}, "upload-id-marker": {strings.Repeat("f", 32)}}} {
						q.Set("prefix", prefix)
						q.Set("delimiter", delimiter)
						got := x.list(q).items()
						for i := range got {
							got[i], _, _ = strings.Cut(got[i], "@")
						}
						if slices.Sort(got); !slices.Equal(got, want) {
							x.Errorf("%v: got %q, want %q", q, got, want)
						}
					}
				}
			}
		}
	})
}

// A client that deletes the keys of each page also deletes the keys that the markers
// name.
func TestVersionsAreListedOnWhenTheMarkerIsDeleted(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		older := *x.put("k", "1").VersionId
		x.versioning(types.BucketVersioningStatusSuspended)
		x.put("k", "2")
		x.versioning(types.BucketVersioningStatusEnabled)
		newer := *x.put("k", "3").VersionId
		for _, c := range []struct {
			marker string
			left   []string
		}{{newer, []string{"k@null", "k@" + older}}, {"null", []string{"k@" + older}}} {
			x.raw("DELETE", "/k?versionId="+c.marker, "").want(204, "")
			q := url.Values{"versions": {""}, "key-marker": {"k"}, "version-id-marker": {c.marker}}
			if got := x.list(q).items(); !slices.Equal(got, c.left) {
				x.Errorf("after %s: got %q, want %q", c.marker, got, c.left)
			}
		}
	})
}

func TestContinuationTokensAreTamperProof(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		for _, key := range []string{"a", "b", "c", "d"} {
			x.put(key, "body")
		}
		token := x.list(url.Values{"list-type": {"2"}, "max-keys": {"2"}}).NextContinuationToken
		if token == "" || strings.Contains(token, "b") && len(token) < 8 {
			x.Fatalf("token %q", token)
		}
		if got := x.list(url.Values{"list-type": {"2"}, "continuation-token": {token}}).items(); !slices.Equal(got, []string{"c", "d"}) {
			x.Errorf("got %q", got)
		}
		for i := range token {
			other := byte('A')
			if token[i] == other {
				other = 'B'
			}
			bad := token[:i] + string(other) + token[i+1:]
			x.raw("GET", "?list-type=2&continuation-token="+url.QueryEscape(bad), "").want(400, "InvalidArgument")
		}
		for _, bad := range []string{"b", "%20", token[:len(token)-2], token + "AAAA", token + "%3D"} {
			x.raw("GET", "?list-type=2&continuation-token="+bad, "").want(400, "InvalidArgument")
		}
		elsewhere := x.s.Bucket(x.T)
		x.bucket = elsewhere
		x.raw("GET", "?list-type=2&continuation-token="+url.QueryEscape(token), "").want(400, "InvalidArgument")
	})
}
