//go:build unix

package clienttest

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

// held is a configuration beside the page's, whose apply goes on until a file
// called go is there.
const held = `
resource "terraform_data" "held" {
  input = "kept"
  provisioner "local-exec" {
    command = "touch begun; i=0; while [ ! -e go ] && [ $i -lt 3000 ]; do sleep 0.1; i=$((i+1)); done; test -e go"
  }
}
output "answer" { value = terraform_data.held.output }
`

// TestOpenTofusStateIsKeptAndLocked runs docs/clients/terraform.md: while one
// apply runs another one is refused, and the state lies in the bucket.
func TestOpenTofusStateIsKeptAndLocked(t *testing.T) {
	applications(t, "terraform.md", "tofu", func(t *testing.T, a application) {
		shell := strings.Join(a.scripts(t, a.blocks), "")
		a.file(t, "held.tf", []byte(held))
		exports, _, _ := strings.Cut(shell, "tofu init")
		first := a.start(t, shell)
		awaitFile(t, filepath.Join(a.dir, "begun"), first)
		out, err := a.bash(t, exports+"tofu plan -lock-timeout=0s")
		if err == nil || !strings.Contains(out, "Error acquiring the state lock") || !strings.Contains(out, "PreconditionFailed") {
			t.Errorf("beside an apply: %v\n%s", err, out)
		}
		a.file(t, "go", nil)
		if err := first.wait(); err != nil {
			t.Fatalf("%v\n%s", err, first.out)
		}
		a.state(t, "kept")
		contains(t, a.shell(t, exports+"tofu output"), `answer = "kept"`)
		contains(t, a.shell(t, exports+"tofu state list"), "terraform_data.held")
		contains(t, a.shell(t, exports+"tofu plan"), "No changes")
		a.shell(t, exports+"tofu apply -destroy")
		a.state(t, "")
	}, "TF_CLI_ARGS_apply=-auto-approve", "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1")
}

// state fails the test unless the bucket has the state, with that answer, and
// no lock.
func (a application) state(t *testing.T, answer string) {
	t.Helper()
	if got := listed(t.Context(), t, a.s.Client(t, s3test.Alice2), demo); len(got) != 1 || got[0] != "state" {
		t.Errorf("the bucket holds %q", got)
	}
	_, body := a.s.Do(t, s3test.Alice2, "GET", "/"+demo+"/state", nil)
	var state struct {
		Outputs struct{ Answer struct{ Value string } }
	}
	if err := json.Unmarshal(body, &state); err != nil || state.Outputs.Answer.Value != answer {
		t.Errorf("the state says %q, want %q; %v", state.Outputs.Answer.Value, answer, err)
	}
}
