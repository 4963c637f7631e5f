package s3api

import (
	"io"
	"net/http/httptest"
	"testing"
)

// sized records the sizes of reads.
type sized struct {
	left int
	most *int
}

func (s *sized) Read(p []byte) (int, error) {
	*s.most = max(*s.most, len(p))
	if s.left -= len(p); s.left <= 0 {
		return 0, io.EOF
	}
	return len(p), nil
}

// TestAnswersAreCopiedByTheBufferThatIsGiven: a ReadFrom of the response would
// allocate a smaller buffer for each answer.
func TestAnswersAreCopiedByTheBufferThatIsGiven(t *testing.T) {
	most := 0
	buf := make([]byte, sendBuffer)
	if _, err := io.CopyBuffer(Record(httptest.NewRecorder()), struct{ io.Reader }{&sized{4 << 20, &most}}, buf); err != nil {
		t.Fatal(err)
	}
	if most != len(buf) {
		t.Errorf("read by %d bytes, want %d", most, len(buf))
	}
}
