package metrics

import (
	"cmp"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Request is one request that was answered or abandoned.
type Request struct {
	// Operation is the operation's name in the S3 API; "" if the request was
	// refused before it was routed.
	Operation string
	// Bucket is a bucket that exists, AccessKey a key whose signature was
	// verified. Never set them to names that a client could invent.
	Bucket, AccessKey string
	// Status is the HTTP status; 0 if the client disconnected before it was sent.
	Status int
	// Code is S3's error code; "" for success.
	Code string
	// UnknownHeaders are the names of ignored headers; "" for one whose name
	// must not be shown.
	UnknownHeaders []string
	// Refused says that the gateway refused the request because of overload.
	Refused bool
	// In and Out are the bytes of the bodies that were received and sent.
	In, Out int64
	// Took is the time to the end of the answer, FirstByte that to its begin;
	// 0 if there was no answer.
	Took, FirstByte time.Duration
}

// StatusGone is the status of requests whose client disconnected before the
// answer.
const StatusGone = 499

// seconds are the bounds of the histograms of requests, which take from 2 ms to
// several minutes.
var seconds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// unknownHeaderNames is the number of unknown headers that are counted by name,
// unknownHeaderLength the length of the longest such name in bytes.
const (
	unknownHeaderNames  = 50
	unknownHeaderLength = 64
)

type requests struct {
	buckets, keys, headers *bounded

	total, byKey, errors, refused *prometheus.CounterVec
	unknownHeaders                *prometheus.CounterVec
	in, out                       *prometheus.CounterVec
	took, firstByte               *prometheus.HistogramVec
	inFlight                      prometheus.Gauge
}

func newRequests(r prometheus.Registerer, o Options) requests {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, []string{"operation"}))
	}
	all := requests{
		buckets: newBounded(o.Buckets), keys: newBounded(o.AccessKeys), headers: newBounded(unknownHeaderNames),
		unknownHeaders: counter("pithos_request_unknown_headers_total", "Headers x-amz-* that were ignored because Pithos does not know them; the first 50 names of signed requests are told apart.", "header"),
		total:          counter("pithos_requests_total", "Requests that were answered; status 499: the client went away before.", "operation", "bucket", "status"),
		byKey:          counter("pithos_access_key_requests_total", "Requests by the access key that signed them, of the first metrics.access-keys ones.", "access_key", "status"),
		errors:         counter("pithos_request_errors_total", "Requests that were answered with an error, by S3's error code.", "operation", "code"),
		refused:        counter("pithos_requests_refused_total", "Requests that the gateway turned away before they were looked at, by S3's error code.", "code"),
		in:             counter("pithos_request_bytes_total", "Bytes of request bodies that were received.", "operation", "bucket"),
		out:            counter("pithos_response_bytes_total", "Bytes of response bodies that were sent.", "operation", "bucket"),
		took:           histogram("pithos_request_duration_seconds", "Time from a request's headers to the end of its answer."),
		firstByte:      histogram("pithos_request_first_byte_seconds", "Time from a request's headers to the begin of its answer."),
		inFlight: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pithos_requests_in_flight", Help: "Requests that are being served or wait for their turn."})),
	}
	for _, code := range []string{"SlowDown", "ServiceUnavailable", "EntityTooLarge"} {
		all.refused.WithLabelValues(code)
	}
	return all
}

// Begin counts the begin of a request; the function it returns counts its end.
func (m *Metrics) Begin() (end func(Request)) {
	m.requests.inFlight.Inc()
	return func(r Request) {
		m.requests.inFlight.Dec()
		m.requests.count(r)
	}
}

func (m *requests) count(r Request) {
	if r.Status == 0 {
		r.Status = StatusGone
	}
	status, bucket := strconv.Itoa(r.Status), m.buckets.value(r.Bucket)
	m.total.WithLabelValues(r.Operation, bucket, status).Inc()
	if key := m.keys.value(r.AccessKey); key != "" && m.keys.most > 0 {
		m.byKey.WithLabelValues(key, status).Inc()
	}
	for _, name := range r.UnknownHeaders {
		if len(name) > unknownHeaderLength {
			name = "" // not a header of S3
		}
		m.unknownHeaders.WithLabelValues(cmp.Or(m.headers.value(name), Other)).Inc()
	}
	if r.Refused {
		m.refused.WithLabelValues(r.Code).Inc()
	} else if r.Code != "" {
		m.errors.WithLabelValues(r.Operation, r.Code).Inc()
	}
	if r.In > 0 {
		m.in.WithLabelValues(r.Operation, bucket).Add(float64(r.In))
	}
	if r.Out > 0 {
		m.out.WithLabelValues(r.Operation, bucket).Add(float64(r.Out))
	}
	m.took.WithLabelValues(r.Operation).Observe(r.Took.Seconds())
	if r.FirstByte > 0 {
		m.firstByte.WithLabelValues(r.Operation).Observe(r.FirstByte.Seconds())
	}
}
