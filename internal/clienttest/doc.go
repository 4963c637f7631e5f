// Package clienttest holds tests that run the clients people have against
// both engines: s3cmd with either signature, boto, boto3, the aws CLI,
// rclone, restic, s5cmd, mc and aws-sdk-go-v2; and applications that store by
// S3: OpenTofu, Hadoop, Spark, Loki, GitLab's library and registry, Velero's
// plugin, Kopia. They run the commands and configurations of docs/clients, as
// the pages have them.
//
// Programs are looked up in PATH, or where PITHOS_TEST_<NAME> says:
// PITHOS_TEST_RCLONE=/opt/rclone, and alike S3CMD, AWS, RESTIC, S5CMD, MC, TOFU,
// HADOOP, SPARK_SUBMIT, LOKI, RUBY, REGISTRY, VELERO_PLUGIN, VELERO_CALLER, KOPIA;
// PITHOS_TEST_PYTHON for the libraries. The tests of those that are not
// installed are skipped, and say so. The script install makes those that no
// package manager has.
package clienttest
