package sigv4

import (
	"bufio"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/s3err"
)

// A vector is a request head as text, and the expected result. Files contain
// vectors separated by lines "~~~~": fields "name: value", an empty line, the
// request.
type vector struct {
	fields map[string]string
	head   string
}

func readVectors(t testing.TB, file string) []vector {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []vector
	for text := range strings.SplitSeq(string(raw), "\n~~~~\n") {
		fields, head, ok := strings.Cut(text, "\n\n")
		if !ok {
			t.Fatalf("%s: a vector without an empty line: %q", file, text)
		}
		v := vector{fields: map[string]string{}, head: strings.TrimRight(head, "\n")}
		for line := range strings.SplitSeq(fields, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok && line[0] != '#' {
				v.fields[name] = value
			}
		}
		out = append(out, v)
	}
	return out
}

func (v vector) request(t testing.TB) *http.Request {
	t.Helper()
	wire := strings.ReplaceAll(v.head, "\n", "\r\n") + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire)))
	if err != nil {
		t.Fatalf("%s: %v", v.fields["name"], err)
	}
	return r
}

func (v vector) options(t testing.TB) Options {
	t.Helper()
	now, err := time.Parse(TimeFormat, v.fields["now"])
	if err != nil {
		t.Fatal(err)
	}
	return Options{Region: v.fields["region"], Now: now}
}

// verify returns "ok", or the error as "Code Message".
func (v vector) verify(t testing.TB) (string, *s3err.Error) {
	t.Helper()
	r := v.request(t)
	if !Signed(r) {
		return "unsigned", nil
	}
	a, err := Parse(r)
	if err == nil {
		_, err = Verify(a, v.fields["secret"], v.options(t))
	}
	var e *s3err.Error
	switch {
	case err == nil:
		return "ok", nil
	case errors.As(err, &e):
		return string(e.Code) + " " + e.Text(), e
	}
	t.Fatalf("not an *s3err.Error: %v", err)
	return "", nil
}

func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	for _, file := range files {
		for _, v := range readVectors(t, file) {
			t.Run(filepath.Base(file)+"/"+v.fields["name"], func(t *testing.T) {
				got, e := v.verify(t)
				if want := v.fields["expect"]; got != want && !(want != "ok" && strings.HasPrefix(got, want)) {
					t.Errorf("got %s, want %s", got, want)
					if e != nil {
						t.Log(e.Detail("CanonicalRequest"))
					}
				}
			})
		}
	}
}
