package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/sigv4/sigv4test"
	"github.com/pithos/pithos/store"
)

// pithos does what is measured, on a bucket of its own.
type pithos struct {
	server *s3test.Server
	bucket string
	client *http.Client
	data   []byte
}

func newPithos(b *testing.B) *pithos {
	s := s3test.Start(b, s3test.Cassandra)
	p := &pithos{server: s, bucket: s3test.BucketName(b), data: content(largeSize)}
	if _, err := s.Store.CreateBucket(b.Context(), store.CreateBucketInput{Name: p.bucket, Owner: s3test.Alice.Tenant}); err != nil {
		b.Fatal(err)
	}
	p.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
	b.Cleanup(p.client.CloseIdleConnections)
	return p
}

func (p *pithos) find(ctx context.Context) (*meta.Bucket, error) {
	return p.server.Store.Bucket(ctx, p.bucket)
}

func (p *pithos) put(ctx context.Context, key string, body []byte) error {
	b, err := p.find(ctx)
	if err != nil {
		return err
	}
	_, err = p.server.Store.Put(ctx, b, key, store.PutInput{
		Attributes: store.Attributes{Owner: s3test.Alice.Tenant}, Body: bytes.NewReader(body), Size: int64(len(body))})
	return err
}

func (p *pithos) get(ctx context.Context, key string, size int64) error {
	b, err := p.find(ctx)
	if err != nil {
		return err
	}
	o, err := p.server.Store.Get(ctx, b, key, store.GetInput{})
	if err != nil {
		return err
	}
	return consume(o.Body, size)
}

// consume reads a body of a known size to its end.
func consume(body io.ReadCloser, size int64) error {
	n, err := io.Copy(io.Discard, body)
	if err == nil && n != size {
		err = fmt.Errorf("%d of %d bytes", n, size)
	}
	return errors.Join(err, body.Close())
}

// do sends a signed request; the payload is not signed, as over TLS.
func (p *pithos) do(ctx context.Context, method, path string, body []byte, size int64) error {
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.server.URL+"/"+p.bucket+path, in)
	if err != nil {
		return err
	}
	sigv4test.Signer{AccessKey: s3test.Alice.ID, Secret: s3test.Alice.Secret, Region: s3test.Region}.SignHeader(r, sigv4test.Unsigned)
	resp, err := p.client.Do(r)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return errors.Join(fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text), resp.Body.Close())
	}
	if size < 0 {
		size = resp.ContentLength
	}
	if size < 0 {
		_, err := io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	}
	return consume(resp.Body, size)
}

func (p *pithos) putSmall(ctx context.Context, n int64) error {
	return p.put(ctx, key(n), p.data[:smallSize])
}

func (p *pithos) putSmallHTTP(ctx context.Context, n int64) error {
	return p.do(ctx, http.MethodPut, "/"+key(n), p.data[:smallSize], 0)
}

func (p *pithos) getSmall(ctx context.Context, n int64) error {
	return p.get(ctx, readKey(n), smallSize)
}

func (p *pithos) getSmallHTTP(ctx context.Context, n int64) error {
	return p.do(ctx, http.MethodGet, "/"+readKey(n), nil, smallSize)
}

func (p *pithos) putLarge(ctx context.Context, n int64) error { return p.put(ctx, key(n), p.data) }

func (p *pithos) putLargeHTTP(ctx context.Context, n int64) error {
	return p.do(ctx, http.MethodPut, "/"+key(n), p.data, 0)
}

func (p *pithos) getLarge(ctx context.Context, _ int64) error { return p.get(ctx, "large", largeSize) }

func (p *pithos) getLargeHTTP(ctx context.Context, _ int64) error {
	return p.do(ctx, http.MethodGet, "/large", nil, largeSize)
}

func (p *pithos) list(ctx context.Context, n int64) error {
	b, err := p.find(ctx)
	if err != nil {
		return err
	}
	r, err := p.server.Store.List(ctx, b, store.ListInput{After: startOf(n), Limit: pageKeys})
	if err == nil && len(r.Objects) != pageKeys {
		err = fmt.Errorf("%d keys", len(r.Objects))
	}
	return err
}

func (p *pithos) listHTTP(ctx context.Context, n int64) error {
	return p.do(ctx, http.MethodGet, "?list-type=2&max-keys=1000&start-after="+url.QueryEscape(startOf(n)), nil, -1)
}

func (p *pithos) loadSmall(b *testing.B) {
	each(b, readKeys, func(ctx context.Context, i int) error { return p.put(ctx, readKey(int64(i)), p.data[:smallSize]) })
}

func (p *pithos) loadLarge(b *testing.B) {
	if err := p.put(b.Context(), "large", p.data); err != nil {
		b.Fatal(err)
	}
}

func (p *pithos) loadList(b *testing.B) {
	each(b, listedKeys, func(ctx context.Context, i int) error {
		return p.put(ctx, listKey(i), []byte(strings.Repeat("x", 100)))
	})
	if err := p.server.Store.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}
