package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

const (
	bucket = "faults"
	// versionedBucket keeps the versions of its objects.
	versionedBucket = "faults-versioned"

	accessKey = "FAULTSKEY0000000001"
	secretKey = "faults-secret-000000000000000000001"

	// patience is how long a client waits for an answer.
	patience = 30 * time.Second
	// roundKeys are changed at a time, for roundTime; then come others. It
	// keeps the histories short enough to be judged.
	roundKeys = 4
	roundTime = 3 * time.Second
	// restTime is how long a client rests, on average, when a request failed:
	// each one of unknown outcome doubles what has to be judged.
	restTime = 100 * time.Millisecond
)

// newClient returns an SDK client for a gateway. retries 1 is none.
func newClient(url string, attempts int) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &url, Region: "us-east-1", UsePathStyle: true,
		Credentials:      credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		RetryMaxAttempts: attempts,
		HTTPClient: &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second,
			ExpectContinueTimeout: time.Second, // as the SDK's own client
		}},
	})
}

// history is what the clients of one run saw.
type history struct {
	begun  time.Time
	values values
	urls   []string

	mu   sync.Mutex
	ops  []porcupine.Operation
	torn []error // answers that no order of steps explains
}

func (h *history) now() int64 { return int64(time.Since(h.begun)) }

func (h *history) add(client int, in input, from int64, out output) {
	to := h.now()
	if out.outcome == unknown {
		to = never
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: from, Output: out, Return: to})
}

func (h *history) tear(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.torn = append(h.torn, err)
}

// count tells how many operations there are of each outcome.
func (h *history) count() map[outcome]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := map[outcome]int{}
	for _, op := range h.ops {
		n[op.Output.(output).outcome]++
	}
	return n
}

// sight is a value that a key had, and its ETag.
type sight struct {
	value int
	etag  string
}

// kinds tells how many changes there are of each kind that were made.
func (h *history) kinds() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := map[string]int{}
	for _, op := range h.ops {
		if in := op.Input.(input); !in.kind.reads() && op.Output.(output).outcome == done {
			n[in.how+string(in.kind)]++
		}
	}
	return n
}

// worker is one client that asks any gateway, one thing after another.
type worker struct {
	id       int
	h        *history
	random   *rand.Rand
	gateways []*s3.Client
	seen     map[string]sight          // what conditions may name
	versions map[string]map[int]string // the ids of versions of keys, by value
}

func newWorker(id int, seed uint64, h *history) *worker {
	w := &worker{id: id, h: h, random: rand.New(rand.NewPCG(seed, uint64(id))),
		seen: map[string]sight{}, versions: map[string]map[int]string{}}
	for _, url := range h.urls {
		w.gateways = append(w.gateways, newClient(url, 1))
	}
	return w
}

// keysAt are the keys of the round at a time: some that stand for themselves,
// a pair, and some that keep their versions.
func keysAt(since time.Duration) []string {
	var keys []string
	name := func(what string, n int) {
		for i := range n {
			keys = append(keys, fmt.Sprintf("%04d/%s%d", since/roundTime, what, i))
		}
	}
	name("key-", roundKeys)
	name(pairName, 2)
	name(versionedName, 2)
	return keys
}

// bucketOf is the bucket that a key is in.
func bucketOf(key string) *string {
	if isVersioned(key) {
		return aws.String(versionedBucket)
	}
	return aws.String(bucket)
}

// run asks until ctx ends, and waits for the last answer.
func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.ask(keysAt(time.Since(w.h.begun)))
	}
}

// ask sends one request of a random kind.
func (w *worker) ask(keys []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	key, via := keys[w.random.IntN(len(keys))], w.random.IntN(len(w.gateways))
	in := input{key: key, via: fmt.Sprint("gateway ", via)}
	_, known := w.seen[key]
	switch n := w.random.IntN(100); {
	case n < 40:
		in.kind = []kind{opPut, opPutNew, opPutOver}[w.random.IntN(3)]
		if in.kind == opPutOver && !known {
			in.kind = opPut
		}
		if n < 10 {
			w.upload(ctx, via, in)
			return
		}
	case n < 47:
		in.kind = opDelete
	case n < 52 && known && !isVersioned(key):
		in.kind = opDeleteSee
	case n < 66:
		w.particular(ctx, via, in, keys)
		return
	case n < 82:
		w.get(ctx, via, in)
		return
	case n < 88:
		w.head(ctx, via, in)
		return
	default:
		w.list(ctx, via, in, keys)
		return
	}
	w.write(ctx, via, in)
}

// particular asks for what not all keys have: versions, or another key to
// rename to; of the others a copy is made. Each of the three as often.
func (w *worker) particular(ctx context.Context, via int, in input, keys []string) {
	kinds := [][]string{keys[:roundKeys], keys[roundKeys : roundKeys+2], keys[roundKeys+2:]}
	of := kinds[w.random.IntN(len(kinds))]
	in.key = of[w.random.IntN(len(of))]
	switch {
	case isVersioned(in.key):
		w.version(ctx, via, in)
	case isPaired(in.key):
		w.rename(ctx, via, in)
	default:
		w.copy(ctx, via, in, keys)
	}
}

// ifMatch is the condition of a request that names what was seen.
func (w *worker) ifMatch(in *input) *string {
	if in.kind != opPutOver && in.kind != opDeleteSee {
		return nil
	}
	was := w.seen[in.key]
	in.see = was.value
	return &was.etag
}

// write sends a change and records what came of it.
func (w *worker) write(ctx context.Context, via int, in input) {
	ifMatch := w.ifMatch(&in)
	if in.kind == opDelete || in.kind == opDeleteSee {
		w.remove(ctx, via, in, ifMatch)
		return
	}
	var data []byte
	in.value, data = w.h.values.next()
	put := &s3.PutObjectInput{Bucket: bucketOf(in.key), Key: &in.key, Body: bytes.NewReader(data), IfMatch: ifMatch}
	if in.kind == opPutNew {
		put.IfNoneMatch = aws.String("*")
	}
	from := w.h.now()
	got, err := w.gateways[via].PutObject(ctx, put)
	if w.settle(in, from, err) == done {
		w.know(in.key, in.value, aws.ToString(got.ETag), aws.ToString(got.VersionId))
	}
}

func (w *worker) remove(ctx context.Context, via int, in input, ifMatch *string) {
	if isVersioned(in.key) {
		in.value = w.h.values.marker()
	}
	from := w.h.now()
	got, err := w.gateways[via].DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucketOf(in.key), Key: &in.key, IfMatch: ifMatch})
	if w.settle(in, from, err) == done && in.value != absent {
		w.knowVersion(in.key, in.value, aws.ToString(got.VersionId))
	}
}

// know remembers what a key has or had.
func (w *worker) know(key string, value int, etag, version string) {
	w.seen[key] = sight{value, etag}
	w.knowVersion(key, value, version)
}

func (w *worker) knowVersion(key string, value int, version string) {
	if version == "" {
		return
	}
	if w.versions[key] == nil {
		w.versions[key] = map[int]string{}
	}
	w.versions[key][value] = version
}

// settle records what came of a change, and returns it; "" for one that was
// not made and says nothing about the key.
func (w *worker) settle(in input, from int64, err error) outcome {
	out, recorded := w.judge(in, err)
	if !recorded || out.outcome == unknown {
		time.Sleep(rand.N(2 * restTime)) // as clients do that get no answer
	}
	if !recorded {
		return ""
	}
	w.h.add(w.id, in, from, out)
	return out.outcome
}

// judge says what the answer to a change means; recorded is false for one that
// was not made and says nothing about the key.
func (w *worker) judge(in input, err error) (out output, recorded bool) {
	switch status := statusOf(err); {
	case err == nil:
		return output{outcome: done}, true
	case codeOf(err) == "NoSuchUpload":
		return output{}, false // another request has ended the upload
	case status == http.StatusPreconditionFailed:
		return output{outcome: unmet}, true
	case status == http.StatusNotFound && in.see != absent:
		return output{outcome: missing}, true
	case status == http.StatusConflict, codeOf(err) == "SlowDown", unsent(err):
		return output{}, false // others were faster, too often; or it was not let in, or not sent
	case status == 0 || status >= 500:
		return output{outcome: unknown}, true
	}
	w.h.tear(fmt.Errorf("%s of %s: %w", in.kind, in.key, err))
	return output{}, false
}

// unsent reports that no server accepted the request.
func unsent(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) && network.Op == "dial"
}

// codeOf is S3's code of an error, if it is one.
func codeOf(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return ""
}

// statusOf is the HTTP status of an error; 0 where no answer came. One that
// came behind a status of 200 has that of its code.
func statusOf(err error) int {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) {
		return 0
	}
	if status := answer.HTTPStatusCode(); status != http.StatusOK {
		return status
	}
	return map[string]int{"PreconditionFailed": http.StatusPreconditionFailed, "NoSuchUpload": http.StatusNotFound,
		"NoSuchKey": http.StatusNotFound, "OperationAborted": http.StatusConflict,
		"ConditionalRequestConflict": http.StatusConflict}[codeOf(err)]
}

// get reads a body, and learns which value it is from its bytes.
func (w *worker) get(ctx context.Context, via int, in input) bool {
	in.kind = opRead
	from := w.h.now()
	got, err := w.gateways[via].GetObject(ctx, &s3.GetObjectInput{Bucket: bucketOf(in.key), Key: &in.key})
	if err != nil {
		return w.notRead(in, from, err)
	}
	data, err := io.ReadAll(got.Body)
	if closed := got.Body.Close(); err != nil || closed != nil {
		return false // cut: what came does not pass for a body
	}
	value, err := valueOf(data)
	etag := aws.ToString(got.ETag)
	if named, unnamed := w.h.values.named(etag); err == nil && (unnamed != nil || named != value) {
		err = fmt.Errorf("mixed: the body of value %d with the ETag %s", value, etag)
	}
	w.read(in, from, value, etag, aws.ToString(got.VersionId), err)
	return true
}

// head learns the value from the ETag.
func (w *worker) head(ctx context.Context, via int, in input) {
	in.kind = opRead
	from := w.h.now()
	got, err := w.gateways[via].HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucketOf(in.key), Key: &in.key})
	if err != nil {
		w.notRead(in, from, err)
		return
	}
	w.readETag(in, from, aws.ToString(got.ETag), aws.ToString(got.VersionId), aws.ToInt64(got.ContentLength))
}

func (w *worker) readETag(in input, from int64, etag, version string, size int64) {
	value, err := w.h.values.named(etag)
	if err == nil && size != int64(bodySizes[value%len(bodySizes)]) {
		err = fmt.Errorf("mixed: %d bytes with the ETag of value %d", size, value)
	}
	w.read(in, from, value, etag, version, err)
}

func (w *worker) read(in input, from int64, value int, etag, version string, err error) {
	if err != nil {
		w.h.tear(fmt.Errorf("%s via %s: %w", in.key, in.via, err))
		return
	}
	w.know(in.key, value, etag, version)
	w.h.add(w.id, in, from, output{done, value})
}

// notRead records that a key is not there. It reports whether that was the
// answer; any other says nothing.
func (w *worker) notRead(in input, from int64, err error) bool {
	switch status := statusOf(err); {
	case status == http.StatusNotFound:
		w.h.add(w.id, in, from, output{done, absent})
		return true
	case status != 0 && status < 500:
		w.h.tear(fmt.Errorf("read of %s via %s: %w", in.key, in.via, err))
	}
	return false
}

// list reads all keys of the round that are in one of the buckets at once: for
// each of them it is a read.
func (w *worker) list(ctx context.Context, via int, in input, keys []string) bool {
	in.kind = opRead
	from := w.h.now()
	of, prefix := bucketOf(in.key), keys[0][:5]
	got, err := w.gateways[via].ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: of, Prefix: &prefix})
	if err != nil {
		if status := statusOf(err); status != 0 && status < 500 {
			w.h.tear(fmt.Errorf("list via %s: %w", in.via, err))
		}
		return false
	}
	in.via += " list"
	var listed []string
	for _, o := range got.Contents {
		in.key = aws.ToString(o.Key)
		listed = append(listed, in.key)
		w.readETag(in, from, aws.ToString(o.ETag), "", aws.ToInt64(o.Size))
	}
	if sorted := slices.Clone(listed); !slices.Equal(slices.Compact(sorted), listed) || !slices.IsSorted(listed) {
		w.h.tear(fmt.Errorf("list via %s: keys out of order, or twice: %q", in.via, listed))
	}
	for _, key := range keys {
		if *bucketOf(key) == *of && !slices.Contains(listed, key) {
			in.key = key
			w.h.add(w.id, in, from, output{done, absent})
		}
	}
	return true
}
