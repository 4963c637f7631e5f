package s3api

import (
	"encoding/xml"
	"net/http"
	"strconv"

	"github.com/pithos/pithos/meta"
)

const maxBuckets = 10000

type listBucketsXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
	Owner   ownerXML
	Buckets struct {
		Buckets []bucketXML `xml:"Bucket"`
	}
	ContinuationToken string `xml:",omitempty"`
	Prefix            *text  `xml:",omitempty"`
}

type bucketXML struct {
	Name         text
	CreationDate stamp
	BucketRegion string `xml:",omitempty"`
	BucketArn    text
}

// listBuckets is ListBuckets: the caller's buckets.
func listBuckets(a *API, w http.ResponseWriter, r *Request) error {
	limit, err := bucketLimit(r)
	if err != nil {
		return err
	}
	q, after := r.Query(), ""
	if token := q.Get("continuation-token"); token != "" {
		if after, err = a.openToken([]byte(r.Caller.Secret), "buckets", token); err != nil {
			return err
		}
	}
	buckets, next, err := a.bucketsIn(r, q.Get("bucket-region"), q.Get("prefix"), after, limit)
	if err != nil {
		return err
	}
	out := listBucketsXML{Owner: ownerOf(r.Caller.CanonicalID()), Prefix: optional(r, "prefix")}
	for _, b := range buckets {
		out.Buckets.Buckets = append(out.Buckets.Buckets, bucketXML{Name: text(b.Name), CreationDate: stamp(b.Created), BucketRegion: b.Config.ShownRegion(), BucketArn: text(bucketARN(b.Name))})
	}
	if next != "" {
		out.ContinuationToken = a.sealToken([]byte(r.Caller.Secret), "buckets", next)
	}
	return writeXML(w, out)
}

func bucketLimit(r *Request) (int, error) {
	v := r.Query().Get("max-buckets")
	if v == "" {
		return maxBuckets, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxBuckets {
		return 0, badArgument("max-buckets", v, "Argument max-buckets must be an integer between 1 and %d", maxBuckets)
	}
	return n, nil
}

// bucketsIn lists the caller's buckets, or those of one region. It reads at most
// maxBuckets names, so that a page may have few buckets of the region, or none, and
// still have a next one. next is "" at the end.
func (a *API) bucketsIn(r *Request, region, prefix, after string, limit int) (found []meta.Bucket, next string, err error) {
	want := limit
	if region != "" {
		want = maxBuckets
	}
	page, more, err := a.store.ListBuckets(r.Context(), r.Caller.Tenant, prefix, after, want)
	if err != nil {
		return nil, "", err
	}
	for _, b := range page {
		if len(found) == limit {
			return found, next, nil
		}
		if next = b.Name; region == "" || b.Config.ShownRegion() == region {
			found = append(found, b)
		}
	}
	if !more {
		next = ""
	}
	return found, next, nil
}

// optional is a parameter that the answer repeats; nil if the request does not have
// it.
func optional(r *Request, name string) *text {
	if !r.Has(name) {
		return nil
	}
	t := text(r.Query().Get(name))
	return &t
}
