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

// listBuckets is ListBuckets: those of the caller.
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
	buckets, more, err := a.bucketsIn(r, q.Get("bucket-region"), q.Get("prefix"), after, limit)
	if err != nil {
		return err
	}
	out := listBucketsXML{Owner: ownerOf(r.Caller.CanonicalID()), Prefix: optional(r, "prefix")}
	for _, b := range buckets {
		out.Buckets.Buckets = append(out.Buckets.Buckets, bucketXML{Name: text(b.Name), CreationDate: stamp(b.Created), BucketRegion: b.Config.Region, BucketArn: text(bucketARN(b.Name))})
	}
	if more {
		out.ContinuationToken = a.sealToken([]byte(r.Caller.Secret), "buckets", buckets[len(buckets)-1].Name)
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

// bucketsIn lists the caller's buckets, those of one region if it is not "".
func (a *API) bucketsIn(r *Request, region, prefix, after string, limit int) (found []meta.Bucket, more bool, err error) {
	for {
		page, truncated, err := a.store.ListBuckets(r.Context(), r.Caller.Tenant, prefix, after, limit)
		if err != nil {
			return nil, false, err
		}
		for _, b := range page {
			after = b.Name
			if region != "" && b.Config.Region != region {
				continue
			}
			if len(found) == limit {
				return found, true, nil
			}
			found = append(found, b)
		}
		if !truncated || region == "" {
			return found, truncated, nil
		}
	}
}

// optional is a parameter as the answer repeats it: not at all if it was not given.
func optional(r *Request, name string) *text {
	if !r.Has(name) {
		return nil
	}
	t := text(r.Query().Get(name))
	return &t
}
