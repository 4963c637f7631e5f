package costtest

import (
	"bytes"
	"net"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// rowsRead counts the metadata rows that the servers of this process read.
var rowsRead atomic.Int64

// answer is what came back for a request.
type answer struct {
	status int // 0: the server closed the connection without an answer
	head   []byte
	bytes  int64
}

// answerTimeout ends a test whose server does not answer. It is no bound.
const answerTimeout = 2 * time.Minute

// send writes a request as it is and reads the answer. The client keeps little
// of the answer, so that it uses little memory.
func send(t testing.TB, addr string, raw []byte) answer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(answerTimeout))
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = conn.Write(raw) // the server may answer before it has read all
	}()
	var a answer
	whole := int64(-1) // the length of the answer, once it is known
	buf := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buf)
		a.bytes += int64(n)
		if keep := min(n, 2<<10-len(a.head)); keep > 0 {
			a.head = append(a.head, buf[:keep]...)
		}
		if whole < 0 && !bytes.HasPrefix(raw, []byte("HEAD ")) {
			whole = answerLength(a.head)
		}
		if whole >= 0 && a.bytes >= whole { // the server may go on reading the request
			break
		}
		if err != nil {
			if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
				t.Fatalf("no answer within %v; so far %q", answerTimeout, a.head)
			}
			break // io.EOF, or a reset where the server did not read the whole body
		}
	}
	_ = conn.Close()
	<-written
	if _, rest, ok := bytes.Cut(a.head, []byte(" ")); ok && len(rest) >= 3 {
		a.status, _ = strconv.Atoi(string(rest[:3]))
	}
	return a
}

// answerLength is the length of the answer whose beginning is head; -1 where it
// ends with the connection, or is not known yet.
func answerLength(head []byte) int64 {
	header, _, ok := bytes.Cut(head, []byte("\r\n\r\n"))
	if !ok {
		return -1
	}
	_, rest, ok := bytes.Cut(header, []byte("\r\nContent-Length: "))
	if !ok {
		return -1
	}
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return -1
	}
	return int64(len(header)) + 4 + n
}

// measure runs work and returns what the process used meanwhile.
func measure(work func()) usage {
	cpu, alloc, rows := cpuTime(), allocated(), rowsRead.Load()
	work()
	return usage{cpu: cpuTime() - cpu, alloc: allocated() - alloc, rows: rowsRead.Load() - rows}
}

// cpuTime is the CPU time of this process so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it fails for bad arguments only
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// allocated are the bytes that this process has allocated so far, exactly:
// runtime/metrics leaves out what the caches of threads hold.
func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}

// live are the bytes that a garbage collection leaves.
func live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what had a finalizer goes with the second one
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
