package keyadmin

import (
	"errors"
	"testing"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/crypt"
)

func TestMasterKeysAreForTheTenantsOfTheirRules(t *testing.T) {
	key := crypt.GenerateMasterKey()
	hash := key.ID()
	named, err := key.Named("payroll")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := crypt.NewRing(crypt.GenerateMasterKey(), named)
	if err != nil {
		t.Fatal(err)
	}
	may, err := MayUseMasterKey(ring, map[string]config.KeyUse{"payroll": {Tenants: []string{"hr"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"payroll", hash, "arn:aws:kms:us-east-1:1:key/payroll"} {
		if !may("hr", id) || may("sales", id) {
			t.Errorf("the key as %q: hr %v, sales %v", id, may("hr", id), may("sales", id))
		}
	}
	if !may("sales", ring.Active()) {
		t.Error("a key without a rule is refused")
	}
	if _, err := MayUseMasterKey(ring, map[string]config.KeyUse{"payrol": {}}); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("a rule about a key that is not there: %v", err)
	}
	if may, err := MayUseMasterKey(ring, nil); may != nil || err != nil {
		t.Errorf("no rules: %v", err)
	}
}
