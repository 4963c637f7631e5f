package s3api_test

import (
	"context"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/s3api"
)

// A listing requests the memory of its page before it reads it, and is refused if no
// memory is available.
func TestListingsAskForTheMemoryOfTheirPage(t *testing.T) {
	var asked []s3api.Work
	full := false
	s := newServer(t, func(o *s3api.Options) {
		o.Admit = func(_ context.Context, w s3api.Work) error {
			asked = append(asked, w)
			if full && w.Kind == s3api.WorkPage {
				return s3err.New(s3err.SlowDown)
			}
			return nil
		}
	})
	b := s.bucket(t)
	id := s.signed(t, "alice", "POST", "/"+b+"/up?uploads", "").want(t, 200, "")
	_, rest, _ := strings.Cut(string(id.body), "<UploadId>")
	upload, _, _ := strings.Cut(rest, "<")
	for target, c := range map[string]struct {
		least, most int64
	}{
		"/":                                            {1 << 20, 8 << 20},
		"/?max-buckets=1":                              {512, 4096},
		"/" + b:                                        {1 << 20, 4 << 20},
		"/" + b + "?max-keys=1":                        {2048, 8192},
		"/" + b + "?max-keys=2147483647":               {1 << 20, 4 << 20},
		"/" + b + "?list-type=2&max-keys=0":            {1024, 4096},
		"/" + b + "?list-type=2":                       {1 << 20, 4 << 20},
		"/" + b + "?versions":                          {1 << 20, 4 << 20},
		"/" + b + "?versions&max-keys=1":               {2048, 8192},
		"/" + b + "?uploads":                           {1 << 20, 4 << 20},
		"/" + b + "?uploads&max-uploads=1":             {2048, 8192},
		"/" + b + "/up?uploadId=" + upload:             {1 << 19, 4 << 20},
		"/" + b + "/up?max-parts=1&uploadId=" + upload: {1024, 8192},
	} {
		asked = nil
		s.signed(t, "alice", "GET", target, "").want(t, 200, "")
		if len(asked) != 1 || asked[0].Kind != s3api.WorkPage || asked[0].Tenant != "alice" || asked[0].Bytes < c.least || asked[0].Bytes > c.most {
			t.Errorf("%s: asked for %+v", target, asked)
		}
		full = true
		s.signed(t, "alice", "GET", target, "").want(t, 503, "SlowDown")
		full = false
	}
	asked = nil
	s.raw(t, "GET", "/"+b, "").want(t, 403, "AccessDenied")
	if len(asked) != 0 {
		t.Errorf("a listing that is not allowed asked for %+v", asked)
	}
	for _, op := range s3api.Operations() {
		lists := strings.HasPrefix(op.Name, "List") && op.Handler != nil && !strings.HasSuffix(op.Name, "Configurations") && op.Name != "ListObjectAnnotations"
		if lists != (op.Page != nil) {
			t.Errorf("%s: page %+v", op.Name, op.Page)
		}
	}
}
