package test

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// TestTheDocumentedCommandsRunOnACluster runs the commands of docs/kubernetes.md
// with k8s/e2e.sh, on the cluster that PITHOS_TEST_KUBECTL reaches ('kubectl', or
// a command with arguments). It takes half an hour.
func TestTheDocumentedCommandsRunOnACluster(t *testing.T) {
	kubectl := os.Getenv("PITHOS_TEST_KUBECTL")
	if kubectl == "" {
		t.Skip("PITHOS_TEST_KUBECTL is not set: with it, the commands of docs/kubernetes.md run on the cluster that it reaches")
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "bash", "../e2e.sh", "docs")
	cmd.Env = append(os.Environ(), "KUBECTL="+kubectl)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	t.Log(out.String())
	if err != nil {
		t.Error(err)
	}
}
