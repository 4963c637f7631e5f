package costtest

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// segmentCases are requests for objects that consist of as many parts or appends as
// an object can.
var segmentCases = []testCase{
	{"HeadOfManyParts", longObject, "a HEAD reads no segments", headManyParts},
	{"HeadOfManyPartsRefused", longObject, "a decision reads no segments", headManyRefused},
	{"GetRangeOfManyParts", longObject, "a GET reads the segments of its range", getManyParts},
	{"GetPartOfManyParts", longObject, "a part is found by the index", getPartOfMany},
	{"AttributesOfManyParts", longObject, "a page of parts reads no others", attributesOfMany},
	{"ListManyParts", longObject, "a listing reads no segments", listManyParts},
	{"TagsOfManyParts", longObject, "what is no segment changes without them", tagsOfMany},
	{"AppendToManySegments", longObject, "an append writes what it adds", appendToMany},
	{"CompleteFewOfManyParts", small, "a Complete reads the parts that it names", completeFewOfMany},
	{"CompleteAllOfManyParts", eachPart, "a Complete reads the parts that it names", completeAllOfMany},
}

// many is the most parts that an object has.
const many = store.MaxPartNumber

// manyParts is a bucket that everyone can read, with an object of many parts. All
// its segments are the same blob of one byte: real ones have 5 MiB.
func (x *fixture) manyParts() string {
	return x.shared("manyParts", func(x *fixture) string {
		bucket := x.s.Bucket(x.T)
		x.must(s3test.Alice, "PUT", "/"+bucket+"?policy", []byte(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:Get*","Resource":"arn:aws:s3:::%s/*"}]}`, bucket)))
		v := meta.Version{Null: true, Owner: s3test.Alice.Tenant, Class: store.ClassStandard, ETag: fmt.Sprintf("%s-%d", meta.NewID(), many), Size: many,
			Checksum: &meta.Checksum{Algorithm: "CRC32", Type: store.Composite, Value: fmt.Sprint("AAAAAA==-", many)}}
		segment := x.oneByte()
		for i := range many {
			segment.Part = i + 1
			v.Segments = append(v.Segments, segment)
			v.Parts = append(v.Parts, meta.PartInfo{Number: i + 1, Size: 1, Checksum: &meta.Checksum{Algorithm: "CRC32", Type: store.Composite, Value: "AAAAAA=="}})
		}
		x.storeVersion(bucket, "key", v)
		return bucket
	})
}

// oneByte is the segment of a stored blob of one byte.
func (x *fixture) oneByte() meta.Segment {
	x.Helper()
	for name, blobs := range x.s.Gateway.Blobs {
		id := blob.NewID()
		w, err := blobs.Create(x.Context(), id)
		if err == nil {
			_, err = w.Write([]byte("x"))
		}
		if err != nil {
			x.Fatal(err)
		}
		ref, err := w.Commit()
		if err != nil {
			x.Fatal(err)
		}
		return meta.Segment{Store: name, Blob: meta.ID(id), Bytes: ref.Size, Chunk: ref.Chunk, Block: ref.Block, Size: 1}
	}
	x.Fatal("the engine has no blob store")
	return meta.Segment{}
}

// storeVersion makes v the object at key, as the store would.
func (x *fixture) storeVersion(bucket, key string, v meta.Version) {
	x.Helper()
	b, err := x.s.Store.Bucket(x.Context(), bucket)
	if err != nil {
		x.Fatal(err)
	}
	v.Seq = meta.NextRev(0, time.Now())
	v.Modified = v.Seq
	p, err := x.s.Gateway.Meta.Begin(x.Context(), b.ID, key, v.Seq, false)
	if err == nil {
		err = p.Commit(x.Context(), meta.Change{Rev: v.Seq, ID: meta.NewID(), Put: []meta.Version{v.Paged()}, NullSeq: v.Seq, Entry: meta.EntryOf(key, &v)})
	}
	if err != nil {
		x.Fatal(err)
	}
}

func headManyParts(x *fixture) attack {
	bucket := x.manyParts()
	return attack{requests: [][]byte{
		x.raw("HEAD", "/"+bucket+"/key"),
		x.raw("HEAD", "/"+bucket+"/key", "Range", "bytes=9000-9001"),
		x.raw("GET", "/"+bucket+"/key", "If-None-Match", "*"),
	}, status: []int{200, 206, 304}}
}

func headManyRefused(x *fixture) attack {
	bucket := x.manyParts()
	return attack{requests: [][]byte{
		x.raw("DELETE", "/"+bucket+"/key"),
		x.request(s3test.Bob, "PUT", "/"+bucket+"/key?tagging", []byte("<Tagging><TagSet></TagSet></Tagging>")),
	}, status: []int{403}}
}

func getManyParts(x *fixture) attack {
	bucket := x.manyParts()
	return attack{requests: [][]byte{
		x.raw("GET", "/"+bucket+"/key", "Range", "bytes=0-0"),
		x.raw("GET", "/"+bucket+"/key", "Range", "bytes=9000-9001"),
		x.raw("GET", "/"+bucket+"/key", "Range", "bytes=-1"),
	}, status: []int{206}}
}

func getPartOfMany(x *fixture) attack {
	bucket := x.manyParts()
	return attack{requests: [][]byte{
		x.raw("GET", "/"+bucket+"/key?partNumber=1"),
		x.raw("GET", "/"+bucket+"/key?partNumber=9999"),
		x.raw("HEAD", "/"+bucket+"/key?partNumber=10000"),
	}, status: []int{206}}
}

func attributesOfMany(x *fixture) attack {
	bucket := x.manyParts()
	return attack{requests: [][]byte{
		x.raw("GET", "/"+bucket+"/key?attributes", "X-Amz-Object-Attributes", "ObjectParts,ETag", "X-Amz-Max-Parts", "1"),
		x.raw("GET", "/"+bucket+"/key?attributes", "X-Amz-Object-Attributes", "ObjectParts", "X-Amz-Max-Parts", "1", "X-Amz-Part-Number-Marker", "9000"),
		x.raw("GET", "/"+bucket+"/key?attributes", "X-Amz-Object-Attributes", "ObjectSize"),
	}, status: []int{200}}
}

func listManyParts(x *fixture) attack {
	bucket := x.manyParts()
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "GET", "/"+bucket+"?list-type=2", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?versions", nil),
	}, status: []int{200}, shown: 1}
}

func tagsOfMany(x *fixture) attack {
	bucket := x.manyParts()
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "PUT", "/"+bucket+"/key?tagging", []byte("<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>")),
		x.request(s3test.Alice, "GET", "/"+bucket+"/key?tagging", nil),
	}, status: []int{200}}
}

// appendToMany appends at the end, and then at what is not the end any more.
func appendToMany(x *fixture) attack {
	bucket := x.s.Bucket(x.T)
	v := meta.Version{Null: true, Owner: s3test.Alice.Tenant, Class: store.ClassStandard, ETag: meta.NewID().String(), Size: many - 1, Appends: many - 1}
	segment := x.oneByte()
	for range many - 1 {
		v.Segments = append(v.Segments, segment)
	}
	x.storeVersion(bucket, "key", v)
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "PUT", "/"+bucket+"/key", []byte("x"), "X-Amz-Write-Offset-Bytes", fmt.Sprint(many-1)),
	}, status: []int{200, 400}}
}

// uploadOfMany is an upload with many parts, and the target of its Complete.
func (x *fixture) uploadOfMany() (target string) {
	x.Helper()
	bucket := x.s.Bucket(x.T)
	target = x.upload(bucket)
	_, id, _ := strings.Cut(target, "uploadId=")
	b, err := x.s.Store.Bucket(x.Context(), bucket)
	if err != nil {
		x.Fatal(err)
	}
	uid, err := meta.ParseID(id)
	if err != nil {
		x.Fatal(err)
	}
	u, err := x.s.Gateway.Meta.Upload(x.Context(), b.ID, "upload", uid)
	if err != nil {
		x.Fatal(err)
	}
	segment := x.oneByte()
	segment.Size = store.MinPartBytes
	const workers = 16
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			for n := w + 1; n <= many; n += workers {
				s := segment
				s.Part = n
				if err := x.s.Gateway.Meta.PutPart(x.Context(), u, meta.Part{Number: n, Size: s.Size, ETag: partETag, Modified: 1, CRC64: make([]byte, 8), Segments: []meta.Segment{s}}); err != nil {
					x.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	return target
}

const partETag = "00000000000000000000000000000000"

func (x *fixture) complete(target string, numbers ...int) []byte {
	var b strings.Builder
	b.WriteString("<CompleteMultipartUpload>")
	for _, n := range numbers {
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n, partETag)
	}
	b.WriteString("</CompleteMultipartUpload>")
	return x.request(s3test.Alice, "POST", target, []byte(b.String()))
}

func completeFewOfMany(x *fixture) attack {
	target := x.uploadOfMany()
	return attack{requests: [][]byte{x.complete(target, 1, 5000, many)}, status: []int{200}}
}

func completeAllOfMany(x *fixture) attack {
	target := x.uploadOfMany()
	numbers := make([]int, many)
	for i := range numbers {
		numbers[i] = i + 1
	}
	return attack{requests: [][]byte{x.complete(target, numbers...)}, status: []int{200}, units: many}
}
