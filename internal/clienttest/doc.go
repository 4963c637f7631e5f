// Package clienttest holds tests that run the clients people have against
// both engines: s3cmd with either signature, boto, boto3, the aws CLI,
// rclone, restic, s5cmd and aws-sdk-go-v2.
//
// Clients are looked up in PATH, or where PITHOS_TEST_<NAME> says
// (PITHOS_TEST_RCLONE=/opt/rclone; PITHOS_TEST_PYTHON for the libraries);
// the tests of those that are not installed are skipped, and say so.
package clienttest
