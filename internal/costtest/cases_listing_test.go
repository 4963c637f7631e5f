package costtest

import (
	"fmt"
	"strings"

	"github.com/pithos/pithos/internal/s3test"
)

// listingCases are listings of what is costly to list.
var listingCases = []testCase{
	{"ListObjects", page, "a listing costs its page", listObjects},
	{"ListOneOfMany", small, "a listing reads one more than it shows", listOne},
	{"ListPrefixes", page, "the keys of a common prefix are skipped", listPrefixes},
	{"ListNoneFound", small, "a listing costs its page, not its bucket", listNone},
	{"ListDelimiterLong", small, "a delimiter is searched for once in each key", listDelimiter},
	{"ListVersionsOfLongHeaders", page, "a listing reads what it shows of a version", listVersions},
	{"ListVersionsOne", small, "a listing reads one more than it shows", listVersionsOne},
	{"ListUploadsOne", small, "a listing reads one more than it shows", listUploadsOne},
	{"ListUploadsOfLongHeaders", page, "a listing reads what it shows of an upload", listUploads},
	{"ListPartsOne", small, "a listing reads one more than it shows", listPartsOne},
	{"ListBuckets", page, "a listing of buckets reads no settings", listBuckets},
	{"ListRefused", refused, "authorization comes before the listing", listRefused},
	{"GetOfLongHeaders", small, "the headers of an object are bounded", getLongHeaders},
}

// listed is how many keys the listings have. Setting up more takes long.
const listed = 120

// keys stores n objects of one byte.
func (x *fixture) keys(n int, name func(i int) string) string {
	x.Helper()
	bucket := x.s.Bucket(x.T)
	for i := range n {
		x.must(s3test.Alice, "PUT", "/"+bucket+"/"+name(i), []byte("x"))
	}
	return bucket
}

// manyKeys is a bucket with keys of almost 1,024 bytes in two groups.
func (x *fixture) manyKeys() string {
	return x.shared("manyKeys", func(x *fixture) string {
		return x.keys(listed, func(i int) string { return fmt.Sprintf("%d/%04d%s", i%2, i, fill("k", 1000)) })
	})
}

func listObjects(x *fixture) attack {
	bucket := x.manyKeys()
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "GET", "/"+bucket+"?list-type=2", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?list-type=2&encoding-type=url&fetch-owner=true", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?versions", nil),
	}, status: []int{200}, shown: listed}
}

func listOne(x *fixture) attack {
	bucket := x.manyKeys()
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "GET", "/"+bucket+"?list-type=2&max-keys=1", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?list-type=2&max-keys=0", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?delimiter=/&max-keys=1", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?versions&max-keys=1", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?versions&delimiter=/&max-keys=1", nil),
	}, status: []int{200}, shown: 1}
}

func listPrefixes(x *fixture) attack {
	bucket := x.keys(listed, func(i int) string { return fmt.Sprintf("%04d%s/a", i, fill("k", 1000)) })
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "GET", "/"+bucket+"?delimiter=/", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?versions&delimiter=/", nil),
	}, status: []int{200}, shown: 3 * listed}
}

func listNone(x *fixture) attack {
	bucket := x.manyKeys()
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "GET", "/"+bucket+"?prefix=none", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?start-after=z&list-type=2", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?versions&key-marker=z", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?uploads&key-marker=z", nil),
	}, status: []int{200}}
}

func listDelimiter(x *fixture) attack {
	bucket := x.keys(10, func(i int) string { return fmt.Sprintf("%d%s", i, fill("k", 1000)) })
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "GET", "/"+bucket+"?delimiter="+fill("k", 500)+"b", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?delimiter="+fill("k", room), nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?prefix="+fill("k", room), nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?marker="+fill("k", room), nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?list-type=2&continuation-token="+fill("k", room), nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?versions&key-marker=k&version-id-marker="+fill("k", room), nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?uploads&key-marker=k&upload-id-marker="+fill("k", room), nil),
	}, status: []int{200, 400, 404}, shown: 20}
}

// longHeaders are as many bytes of system headers as a write accepts.
func (x *fixture) longHeaders(write func(header ...string) bool) []string {
	x.Helper()
	for n := 54 << 10; n > 0; n /= 2 {
		header := []string{"Content-Disposition", fill("d", n/2), "Content-Language", fill("l", n/4), "Cache-Control", fill("c", n/4), "X-Amz-Meta-A", fill("m", 2000)}
		if write(header...) {
			return header
		}
	}
	x.Fatal("headers of any length are refused")
	return nil
}

// versionedLong is a bucket with versions of one key whose headers are long.
func (x *fixture) versionedLong() string {
	return x.shared("versionedLong", func(x *fixture) string {
		bucket := x.s.Bucket(x.T)
		x.must(s3test.Alice, "PUT", "/"+bucket+"?versioning", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
		header := x.longHeaders(func(header ...string) bool {
			r, _ := x.s.Do(x.T, s3test.Alice, "PUT", "/"+bucket+"/key", []byte("x"), header...)
			return r.StatusCode == 200
		})
		for range longOnes - 1 {
			x.must(s3test.Alice, "PUT", "/"+bucket+"/key", []byte("x"), header...)
		}
		return bucket
	})
}

const longOnes = 40

func listVersions(x *fixture) attack {
	return attack{requests: [][]byte{x.request(s3test.Alice, "GET", "/"+x.versionedLong()+"?versions", nil)}, status: []int{200}, shown: longOnes}
}

func listVersionsOne(x *fixture) attack {
	return attack{requests: [][]byte{x.request(s3test.Alice, "GET", "/"+x.versionedLong()+"?versions&max-keys=1", nil)}, status: []int{200}, shown: 1}
}

// uploadsLong is a bucket with uploads whose headers are long.
func (x *fixture) uploadsLong() string {
	return x.shared("uploadsLong", func(x *fixture) string {
		bucket := x.s.Bucket(x.T)
		header := x.longHeaders(func(header ...string) bool {
			r, _ := x.s.Do(x.T, s3test.Alice, "POST", "/"+bucket+"/upload?uploads", nil, header...)
			return r.StatusCode == 200
		})
		for i := range longOnes - 1 {
			x.must(s3test.Alice, "POST", fmt.Sprintf("/%s/upload%d?uploads", bucket, i%5), nil, header...)
		}
		return bucket
	})
}

func listUploadsOne(x *fixture) attack {
	bucket := x.uploadsLong()
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "GET", "/"+bucket+"?uploads&max-uploads=1", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?uploads&max-uploads=1&delimiter=l", nil),
	}, status: []int{200}, shown: 2}
}

func listUploads(x *fixture) attack {
	return attack{requests: [][]byte{x.request(s3test.Alice, "GET", "/"+x.uploadsLong()+"?uploads", nil)}, status: []int{200}, shown: longOnes}
}

func listPartsOne(x *fixture) attack {
	bucket := x.s.Bucket(x.T)
	target := x.upload(bucket)
	for i := range 40 {
		x.must(s3test.Alice, "PUT", fmt.Sprintf("%s&partNumber=%d", target, i+1), []byte("x"))
	}
	return attack{requests: [][]byte{x.request(s3test.Alice, "GET", target+"&max-parts=1", nil)}, status: []int{200}, shown: 2}
}

func listBuckets(x *fixture) attack {
	const n = 12
	for range n {
		bucket := x.s.Bucket(x.T)
		x.worstCORS(bucket, 900, "h*X", "*X")
		x.policy(bucket, policyRoom/7, func(n int) string {
			return statement(bucket, `"StringEquals":{"aws:UserAgent":["`+strings.Repeat(`a","`, n)+`b"]}`)
		})
	}
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "GET", "/", nil),
		x.request(s3test.Alice, "GET", "/?max-buckets=1", nil),
	}, status: []int{200}, shown: n}
}

func listRefused(x *fixture) attack {
	bucket := x.manyKeys()
	a := attack{status: []int{403}}
	for _, q := range []string{"", "?versions", "?uploads", "?list-type=2&delimiter=/"} {
		a.requests = append(a.requests, x.raw("GET", "/"+bucket+q))
	}
	return a
}

func getLongHeaders(x *fixture) attack {
	return attack{requests: [][]byte{x.request(s3test.Alice, "GET", "/"+x.versionedLong()+"/key", nil)}, status: []int{200}}
}
