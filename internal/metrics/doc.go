// Package metrics counts what a gateway does, in Prometheus' terms. Nothing
// here knows S3, HTTP or a database beyond their names: whoever serves calls
// in. Every label has a bounded number of values, whatever clients send.
//
// Times are in seconds and sizes in bytes, as Prometheus' conventions ask for;
// docs/monitoring.md tells what each metric means.
package metrics
