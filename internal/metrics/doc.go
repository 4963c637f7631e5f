// Package metrics has the Prometheus metrics of a gateway. It knows S3, HTTP and
// databases by name only: the packages that serve and observe call it. Every label
// has a bounded number of values, whatever clients send.
//
// Times are in seconds and sizes in bytes, by Prometheus' conventions.
// docs/monitoring.md explains each metric.
package metrics
