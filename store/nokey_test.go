package store_test

import (
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/store"
)

func TestEncryptionWithoutAMasterKeyIsRefusedAndSaysWhatToSet(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	keyless := w.Gateway(t, func(o *store.Options) { o.Ring = nil })
	for _, algorithm := range []string{store.AlgorithmAES256, store.AlgorithmKMS} {
		in := store.PutInput{Body: strings.NewReader("x"), Size: 1}
		in.Encryption.Type = algorithm
		_, err := keyless.Put(t.Context(), b, "k", in)
		wantCode(t, err, s3err.InvalidRequest)
		if !strings.Contains(err.Error(), "PITHOS_MASTER_KEY") {
			t.Errorf("%s: the error does not say what to set: %v", algorithm, err)
		}
	}
	_, err := w.Head(t.Context(), b, "k", store.GetInput{})
	wantCode(t, err, s3err.NoSuchKey)
}
