package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// copy copies another key of the round to the one of in, on the condition that
// it has the value that was seen. That reads one key and writes another.
func (w *worker) copy(ctx context.Context, via int, in input, keys []string) {
	source := in
	source.key = keys[w.random.IntN(roundKeys)]
	was, known := w.seen[source.key]
	if !known || source.key == in.key {
		w.get(ctx, via, in)
		return
	}
	in.kind, in.value, in.how = opPut, was.value, "copy: "
	from := w.h.now()
	got, err := w.gateways[via].CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: &in.key,
		CopySource: aws.String(bucket + "/" + source.key), CopySourceIfMatch: &was.etag})
	switch status := statusOf(err); {
	case status == http.StatusPreconditionFailed:
		source.kind, source.see = opReadNot, was.value
		w.h.add(w.id, source, from, output{outcome: done})
		return
	case status == http.StatusNotFound:
		source.kind = opRead
		w.h.add(w.id, source, from, output{done, absent})
		return
	}
	if w.settle(in, from, err) != done {
		return
	}
	source.kind = opRead
	w.h.add(w.id, source, from, output{done, was.value})
	w.readETag(in, from, aws.ToString(got.CopyObjectResult.ETag), "", int64(bodySizes[was.value%len(bodySizes)]))
}

// rename moves the object of one key of the pair to the other, on the condition
// that it is the one that was seen.
func (w *worker) rename(ctx context.Context, via int, in input) {
	was, known := w.seen[in.key]
	if !known {
		w.get(ctx, via, in)
		return
	}
	to := in.key[:len(in.key)-1] + fmt.Sprint(1-slot(in.key))
	in.kind, in.see = opRename, was.value
	from := w.h.now()
	_, err := w.gateways[via].RenameObject(ctx, &s3.RenameObjectInput{Bucket: aws.String(bucket), Key: &to,
		RenameSource: aws.String("/" + bucket + "/" + in.key), SourceIfMatch: &was.etag})
	if w.settle(in, from, err) == done {
		w.seen[to] = was
	}
}

// version deletes or reads one version of a key, by its id.
func (w *worker) version(ctx context.Context, via int, in input) {
	values := make([]int, 0, len(w.versions[in.key]))
	for value := range w.versions[in.key] {
		values = append(values, value)
	}
	if len(values) == 0 {
		w.get(ctx, via, in)
		return
	}
	in.see = values[w.random.IntN(len(values))]
	id := w.versions[in.key][in.see]
	from := w.h.now()
	if in.see < absent || w.random.IntN(2) == 0 {
		in.kind = opDeleteVersion
		_, err := w.gateways[via].DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucketOf(in.key), Key: &in.key, VersionId: &id})
		w.settle(in, from, err)
		return
	}
	in.kind = opReadVersion
	got, err := w.gateways[via].GetObject(ctx, &s3.GetObjectInput{Bucket: bucketOf(in.key), Key: &in.key, VersionId: &id})
	if err != nil {
		w.notRead(in, from, err)
		return
	}
	data, err := io.ReadAll(got.Body)
	if closed := got.Body.Close(); err != nil || closed != nil {
		return // cut: what came does not pass for a body
	}
	value, err := valueOf(data)
	if err != nil || value != in.see {
		w.h.tear(fmt.Errorf("%s, version %s: value %d, which was to be %d: %v", in.key, id, value, in.see, err))
		return
	}
	w.h.add(w.id, in, from, output{done, value})
}

// upload writes a value as a multipart upload of one part; each request goes
// through any gateway. Some uploads are aborted instead, and some while they are
// completed: whichever of the two comes first, the other one is told so.
func (w *worker) upload(ctx context.Context, via int, in input) {
	in.how = "upload: "
	var data []byte
	ifMatch := w.ifMatch(&in)
	in.value, data = w.h.values.next()
	other := func() *s3.Client { return w.gateways[w.random.IntN(len(w.gateways))] }
	created, err := other().CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucketOf(in.key), Key: &in.key})
	if err != nil {
		return // nothing can come of it
	}
	part, err := other().UploadPart(ctx, &s3.UploadPartInput{Bucket: bucketOf(in.key), Key: &in.key, UploadId: created.UploadId,
		PartNumber: aws.Int32(1), Body: bytes.NewReader(data)})
	abort := &s3.AbortMultipartUploadInput{Bucket: bucketOf(in.key), Key: &in.key, UploadId: created.UploadId}
	if err != nil || w.random.IntN(6) == 0 {
		_, _ = other().AbortMultipartUpload(ctx, abort) // whatever comes of it, the value may never show
		return
	}
	complete := &s3.CompleteMultipartUploadInput{Bucket: bucketOf(in.key), Key: &in.key, UploadId: created.UploadId, IfMatch: ifMatch,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}}}
	if in.kind == opPutNew {
		complete.IfNoneMatch = aws.String("*")
	}
	var aborting sync.WaitGroup
	race := w.random.IntN(6) == 0
	if race {
		gateway := other()
		aborting.Go(func() { _, _ = gateway.AbortMultipartUpload(ctx, abort) }) // the Complete tells which came first
	}
	from := w.h.now()
	got, err := w.gateways[via].CompleteMultipartUpload(ctx, complete)
	if codeOf(err) == "NoSuchUpload" && !race {
		w.h.tear(fmt.Errorf("%s: an upload is gone that no client has ended: %w", in.key, err))
	}
	if w.settle(in, from, err) == done {
		w.know(in.key, in.value, aws.ToString(got.ETag), aws.ToString(got.VersionId))
	}
	aborting.Wait()
}
