package s3api

import "net/http"

// response notes what was answered.
//
// It has no ReadFrom on purpose, nor have the gateway's writers around it. The
// server's own (sendfile) needs a file, and blobs are verified in memory before
// a byte of them is sent; and what a client takes too slowly is noticed from
// one Write to the next. Any other ReadFrom would only keep io.CopyBuffer from
// its caller's buffer.
type response struct {
	http.ResponseWriter
	status int // 0 until the header is written
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
