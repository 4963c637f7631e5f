package assert_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/pithos/pithos/internal/assert"
)

// recorder records that a test failed, in place of failing.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(string, ...any) {
	r.failed = true
	runtime.Goexit()
}

func TestAssertionsEndTheTestOnlyIfTheyDoNotHold(t *testing.T) {
	base := errors.New("base")
	for name, tc := range map[string]struct {
		assertion func(t testing.TB)
		fails     bool
	}{
		"no error":          {func(t testing.TB) { assert.NoError(t, nil) }, false},
		"an error":          {func(t testing.TB) { assert.NoError(t, base) }, true},
		"the error":         {func(t testing.TB) { assert.ErrorIs(t, fmt.Errorf("wrapped: %w", base), base) }, false},
		"another error":     {func(t testing.TB) { assert.ErrorIs(t, errors.New("base"), base) }, true},
		"no error, wanted":  {func(t testing.TB) { assert.ErrorIs(t, nil, base) }, true},
		"equal values":      {func(t testing.TB) { assert.Equal(t, "it", []string{"a"}, []string{"a"}) }, false},
		"different values":  {func(t testing.TB) { assert.Equal(t, "it", []string{"a"}, []string{"b"}) }, true},
		"nil and no length": {func(t testing.TB) { assert.Equal(t, "it", nil, []string{}) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				tc.assertion(r)
			}()
			<-done
			if r.failed != tc.fails {
				t.Errorf("failed: %v, want %v", r.failed, tc.fails)
			}
		})
	}
}
