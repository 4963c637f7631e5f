package cassandra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/pithos/pithos/blob"
)

var errClosed = errors.New("reader is closed")

// reader returns the chunks of a range in order, and fetches the next ones at the
// same time.
type reader struct {
	store  *Store
	ctx    context.Context
	cancel context.CancelFunc
	ref    blob.Ref

	offset  int64 // in the blob, of the next byte to return
	end     int64 // of the range
	launch  int64 // number of the next chunk to fetch
	flights []chan fetched
	running sync.WaitGroup

	rest []byte // verified, not yet returned
	err  error  // sticks
}

type fetched struct {
	data []byte
	err  error
}

// Open implements [blob.Store]. It begins to fetch the first chunks. The reader is
// also an [io.WriterTo].
func (s *Store) Open(ctx context.Context, ref blob.Ref, offset, length int64) (io.ReadCloser, error) {
	if err := checkRange(ref, offset, length); err != nil {
		return nil, fmt.Errorf("open blob %s: %w", ref.ID, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &reader{store: s, ref: ref, offset: offset, end: offset + length}
	r.ctx, r.cancel = context.WithCancel(ctx)
	if length > 0 {
		r.launch = offset / int64(ref.Chunk)
		for range s.opts.ReadAhead {
			r.fetchNext()
		}
	}
	return r, nil
}

func checkRange(ref blob.Ref, offset, length int64) error {
	if offset < 0 || length < 0 || offset > ref.Size || length > ref.Size-offset {
		return fmt.Errorf("range of %d bytes from %d on is outside of its %d bytes", length, offset, ref.Size)
	}
	if (ref.Chunk <= 0 || ref.Block <= 0) && ref.Size > 0 {
		return fmt.Errorf("invalid chunk size %d or block size %d in the reference: the blob is not of this store", ref.Chunk, ref.Block)
	}
	return nil
}

// chunkSize is the size of chunk n of a blob.
func chunkSize(ref blob.Ref, n int64) int64 {
	return min(int64(ref.Chunk), ref.Size-n*int64(ref.Chunk))
}

// fetchNext begins to fetch the next chunk of the range, if there is one.
func (r *reader) fetchNext() {
	n := r.launch
	if n*int64(r.ref.Chunk) >= r.end {
		return
	}
	r.launch++
	flight := make(chan fetched, 1)
	r.flights = append(r.flights, flight)
	r.running.Add(1)
	go func() {
		defer r.running.Done()
		data, err := r.store.fetch(r.ctx, r.ref, n)
		flight <- fetched{data, err}
	}()
}

// fetch reads chunk n of a blob and verifies it. The package comment says what it
// does if the chunk is missing or wrong.
func (s *Store) fetch(ctx context.Context, ref blob.Ref, n int64) (data []byte, err error) {
	size := chunkSize(ref, n)
	corrupt := false
	at := positionOf(n, int(ref.Block))
	read := func(quorum bool) error {
		return retry(ctx, func() error {
			sum, got, err := s.db.read(ctx, ref.ID, at, quorum)
			if err != nil {
				return err
			}
			if int64(len(got)) != size || sum != sumOf(got, ref.ID, n) {
				corrupt = true
				return fmt.Errorf("%w: wrong checksum", blob.ErrCorrupt)
			}
			data = got
			return nil
		})
	}
	err = read(false)
	for again := 0; again < 2 && errors.Is(err, blob.ErrCorrupt); again++ {
		err = read(false)
	}
	if errors.Is(err, errMissing) || errors.Is(err, blob.ErrCorrupt) {
		err = read(true)
	}
	if errors.Is(err, blob.ErrCorrupt) {
		data, err = s.findGoodCopy(ctx, ref, n, nil)
	}
	if errors.Is(err, errMissing) {
		err = blob.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read chunk %d of blob %s: %w", n, ref.ID, err)
	}
	if corrupt {
		s.healAfterRead(ctx, ref, n, data)
	}
	return data, nil
}

// fill waits for the next chunk and sets rest to its part of the range.
func (r *reader) fill() error {
	if r.err != nil {
		return r.err
	}
	if r.offset == r.end {
		return io.EOF
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	var got fetched
	select {
	case got = <-r.flights[0]:
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
	r.flights = r.flights[1:]
	if got.err != nil {
		return got.err
	}
	r.fetchNext()
	begin := r.offset / int64(r.ref.Chunk) * int64(r.ref.Chunk)
	r.rest = got.data[r.offset-begin : min(int64(len(got.data)), r.end-begin)]
	r.offset += int64(len(r.rest))
	return nil
}

// Read implements [io.Reader].
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.rest) == 0 {
		if r.err = r.fill(); r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo implements [io.WriterTo]. It writes from the memory of the chunks.
func (r *reader) WriteTo(w io.Writer) (written int64, err error) {
	for {
		if len(r.rest) == 0 {
			if r.err = r.fill(); r.err == io.EOF {
				return written, nil
			} else if r.err != nil {
				return written, r.err
			}
		}
		n, err := w.Write(r.rest)
		written, r.rest = written+int64(n), r.rest[n:]
		if err != nil {
			return written, err
		}
	}
}

// Close implements [io.Closer]. It cancels the running reads.
func (r *reader) Close() error {
	if errors.Is(r.err, errClosed) {
		return nil
	}
	r.err, r.rest = errClosed, nil
	r.cancel()
	r.running.Wait()
	r.flights = nil
	return nil
}
