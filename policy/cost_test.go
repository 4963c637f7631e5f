package policy

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// fill repeats item between commas until the policy has about 20 KB.
func fill(n int, item string) string {
	items := make([]string, 0, n/len(item))
	for used := 0; used+len(item)+1 < n; used += len(item) + 1 {
		items = append(items, item)
	}
	return strings.Join(items, ",")
}

const room = MaxBytes - 400

// hostile are policies of about 20 KB that cost as much as they can, of a
// bucket in which other may do all that they do not deny.
func hostile() map[string]string {
	allow := `{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}`
	deny := func(rest string) string {
		return doc(allow, `{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject",`+rest+`}`)
	}
	on := func(resources string) string {
		return deny(`"Resource":["arn:aws:s3:::amzn-s3-demo-bucket/x",` + resources + `]`)
	}
	when := func(condition string) string {
		return deny(`"Resource":"arn:aws:s3:::amzn-s3-demo-bucket/*","Condition":` + condition)
	}
	many := strings.Repeat("a", 40)
	return map[string]string{
		"resources of stars":     on(fill(room, `"arn:aws:s3:::*ab*ab*"`)),
		"resources of ?":         on(fill(room, `"arn:aws:s3:::*`+many+"?"+many+`b*"`)),
		"a long resource":        on(`"arn:aws:s3:::*` + strings.Repeat("a?", room/2) + `b*"`),
		"resources of variables": on(fill(2400, `"arn:aws:s3:::amzn-s3-demo-bucket/`+strings.Repeat("${aws:UserAgent}", 5)+`"`)),
		"short patterns":         when(`{"StringLike":{"aws:UserAgent":[` + fill(8*MaxValues, `"*aab*b"`) + `]}}`),
		"one long pattern":       when(`{"StringLike":{"aws:UserAgent":"*` + strings.Repeat("a", room/2) + "?" + strings.Repeat("a", room/2-100) + `b*"}}`),
		"numbers":                when(`{"NumericEquals":{"aws:UserAgent":[` + fill(2*MaxValues, `1`) + `]}}`),
		"dates":                  when(`{"DateEquals":{"aws:UserAgent":[` + fill(7*MaxValues, `"2026"`) + `]}}`),
		"case":                   when(`{"StringEqualsIgnoreCase":{"aws:UserAgent":[` + fill(room, `"`+many+`"`) + `]}}`),
		"statements":             doc(allow, fill(room, `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"arn:aws:s3:::amzn-s3-demo-bucket/b*","Condition":{"StringLike":{"aws:UserAgent":"*b"}}}`)),
		"principals":             doc(allow, `{"Effect":"Deny","Principal":{"AWS":[`+fill(room, `"111122223333"`)+`]},"Action":"s3:*","Resource":"*"}`),
	}
}

// A DeleteObjects of a thousand keys, all as long as keys can be, against the
// worst policies. Where each key costs what the conditions cost, this test does
// not end within the test's time.
func TestAThousandKeysCostLittleMoreThanOne(t *testing.T) {
	agent := strings.Repeat("a", 57<<10)
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			p, err := Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Validate(bucket); err != nil {
				t.Fatal(err)
			}
			facts := BucketFacts{Name: bucket, Owner: owner.ID, Policy: p}
			e := NewEvaluator(other, facts, ctx("aws:UserAgent", agent), time.Now())
			for i := range 1000 {
				key := fmt.Sprintf("%s%03d", strings.Repeat("a", 1021), i)
				d, err := e.Decide(Access{Action: "s3:DeleteObject", Key: key})
				if err != nil || !d.Allowed && !(d.Explicit && strings.Contains(d.Reason, "costs too much")) {
					t.Fatalf("%v, %v", d, err)
				}
			}
		})
	}
}

// What cannot be decided for its cost is refused, also to those whom only an
// explicit Deny refuses; policies as people write them are far from that.
func TestPoliciesThatCostTooMuchAreRefused(t *testing.T) {
	p := mustParse(t, hostile()["resources of ?"])
	e := NewEvaluator(other, BucketFacts{Name: bucket, Owner: owner.ID, Policy: p}, nil, time.Now())
	key := strings.Repeat("a", 1024)
	var d Decision
	for range 1000 {
		d, _ = e.Decide(Access{Action: "s3:DeleteObject", Key: key})
	}
	if d.Allowed || !d.Explicit {
		t.Errorf("%+v", d)
	}
	var folders []string
	for i := range 100 {
		folders = append(folders, fmt.Sprintf(`"arn:aws:s3:::amzn-s3-demo-bucket/*/tenant-%03d/????-??-??/*.log*"`, i))
	}
	p = mustParse(t, doc(`{"Effect":"Allow","Principal":"*","Action":"s3:DeleteObject","Resource":[`+strings.Join(folders, ",")+`]}`))
	e = NewEvaluator(other, BucketFacts{Name: bucket, Owner: owner.ID, Policy: p}, nil, time.Now())
	for i := range 1000 {
		key := fmt.Sprintf("some/folders/of/a/usual/length/tenant-%03d/2026-01-02/%d.log.gz", i%100, i)
		if d, err := e.Decide(Access{Action: "s3:DeleteObject", Key: key}); err != nil || !d.Allowed {
			t.Fatalf("%s: %+v, %v", key, d, err)
		}
	}
}

// A condition on what is the same for all keys is decided once, one on a key
// that differs is decided each time.
func TestConditionsOnOwnKeysAreDecidedForEachAccess(t *testing.T) {
	facts := policied(t, doc(`{"Effect":"Allow","Principal":"*","Action":["s3:DeleteObject","s3:DeleteObjectVersion"],"Resource":"*","Condition":{"StringEquals":{"aws:Referer":"x"}}}`,
		`{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"*","Condition":{"Null":{"s3:if-match":"true"}}}`,
		`{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObjectVersion","Resource":"*","Condition":{"StringEquals":{"aws:Referer":"${s3:VersionId}"}}}`,
		`{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/a":"b"}}}`))
	e := NewEvaluator(other, facts, ctx("aws:Referer", "x"), time.Now())
	tagged := func() (*ObjectFacts, error) { return &ObjectFacts{Tags: map[string]string{"a": "b"}}, nil }
	for i, c := range []struct {
		a    Access
		want bool
	}{
		{Access{Action: "s3:DeleteObject", Key: "1"}, false},
		{Access{Action: "s3:DeleteObject", Key: "2", Context: ctx("s3:if-match", "e")}, true},
		{Access{Action: "s3:DeleteObject", Key: "3", Context: ctx("s3:if-match", "e"), Object: tagged}, false},
		{Access{Action: "s3:DeleteObject", Key: "4", Context: ctx("s3:if-match", "e")}, true},
		{Access{Action: "s3:DeleteObject", Key: "5"}, false},
		{Access{Action: "s3:DeleteObjectVersion", Key: "6", Context: ctx("s3:VersionId", "x")}, false},
		{Access{Action: "s3:DeleteObjectVersion", Key: "7", Context: ctx("s3:VersionId", "y")}, true},
		{Access{Action: "s3:GetObject", Key: "8"}, false},
	} {
		if d, err := e.Decide(c.a); err != nil || d.Allowed != c.want {
			t.Errorf("%d: %+v, %v", i, d, err)
		}
	}
}

func TestValuesThatAreTooLongAreDecidedAgainstTheRequester(t *testing.T) {
	long := ctx("aws:Referer", strings.Repeat("a", MaxValueBytes+1))
	for condition, deny := range map[string][2]bool{
		`{"StringLike":{"aws:Referer":"b*"}}`: {false, true}, `{"StringNotLike":{"aws:Referer":"b*"}}`: {false, true},
		`{"StringLike":{"aws:Referer":"a*"}}`: {false, true}, `{"Null":{"aws:Referer":"false"}}`: {true, true},
	} {
		for i, effect := range []bool{false, true} {
			if got := met(t, condition, long, effect); got != deny[i] {
				t.Errorf("%s, deny %v: %v", condition, effect, got)
			}
		}
	}
}

// What a cache is told of a policy's size is not less than half of it.
func TestBytesCoverTheMemory(t *testing.T) {
	texts := hostile()
	texts["wild parts"] = with("Resource", `[`+fill(room, `"arn:aws:s3:::b*x?y*z?*"`)+`]`)
	texts["one wild part"] = with("Resource", `"arn:aws:s3:::b*`+strings.Repeat("?é", room/3)+`*"`)
	texts["users"] = with("Principal", `{"AWS":[`+fill(room, `"1"`)+`]}`)
	texts["ARNs"] = with("Condition", `{"ArnLike":{"aws:PrincipalArn":[`+fill(room, `"*:*:*:*:*:*"`)+`]}}`)
	for name, text := range texts {
		const copies = 20
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		kept := make([]*Policy, copies)
		for i := range kept {
			p, err := ParseStored([]byte(text))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			kept[i] = p
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if used, said := int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(copies*kept[0].Bytes()); used > 2*said {
			t.Errorf("%s: %d KiB are %d KiB", name, said>>10/copies, used>>10/copies)
		} else {
			t.Logf("%s: %d KiB said, %d KiB used", name, said>>10/copies, used>>10/copies)
		}
		runtime.KeepAlive(kept)
	}
}
