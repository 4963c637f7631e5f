package s3api

import (
	"encoding/base64"
	"testing"
	"time"
)

const goodExpiration = `"expiration":"2026-03-14T16:00:00.000Z"`

func TestPostPolicyRefusesMalformedDocuments(t *testing.T) {
	for name, doc := range map[string]string{
		"empty":                          ``,
		"not an object":                  `[]`,
		"null":                           `null`,
		"cut":                            `{` + goodExpiration + `,"conditions":[`,
		"something behind":               `{` + goodExpiration + `,"conditions":[]} x`,
		"no expiration":                  `{"conditions":[]}`,
		"no conditions":                  `{` + goodExpiration + `}`,
		"expiration is case-sensitive":   `{"EXPIRATION":"2026-03-14T16:00:00Z","conditions":[]}`,
		"conditions are case-sensitive":  `{` + goodExpiration + `,"CONDITIONS":[]}`,
		"unknown element":                `{` + goodExpiration + `,"conditions":[],"more":1}`,
		"element twice":                  `{` + goodExpiration + `,"conditions":[],"conditions":[]}`,
		"expiration that is no date":     `{"expiration":"2026-03-14 16:00:00.1+00:00","conditions":[]}`,
		"expiration that is a number":    `{"expiration":1773504000,"conditions":[]}`,
		"expiration that is null":        `{"expiration":null,"conditions":[]}`,
		"conditions that are null":       `{` + goodExpiration + `,"conditions":null}`,
		"conditions that are an object":  `{` + goodExpiration + `,"conditions":{}}`,
		"condition that is null":         `{` + goodExpiration + `,"conditions":[null]}`,
		"condition that is a string":     `{` + goodExpiration + `,"conditions":["eq"]}`,
		"condition without a field":      `{` + goodExpiration + `,"conditions":[{}]}`,
		"condition with two fields":      `{` + goodExpiration + `,"conditions":[{"a":"b","c":"d"}]}`,
		"field twice in a condition":     `{` + goodExpiration + `,"conditions":[{"a":"b","a":"d"}]}`,
		"value that is a number":         `{` + goodExpiration + `,"conditions":[{"success_action_status":201}]}`,
		"value that is null":             `{` + goodExpiration + `,"conditions":[{"a":null}]}`,
		"empty list":                     `{` + goodExpiration + `,"conditions":[[]]}`,
		"unknown operation":              `{` + goodExpiration + `,"conditions":[["ends-with","$key","x"]]}`,
		"operation that is none":         `{` + goodExpiration + `,"conditions":[[1,"$key","x"]]}`,
		"eq of one argument":             `{` + goodExpiration + `,"conditions":[["eq","$key"]]}`,
		"eq of three arguments":          `{` + goodExpiration + `,"conditions":[["eq","$key","a","b"]]}`,
		"field without dollar":           `{` + goodExpiration + `,"conditions":[["eq","key","a"]]}`,
		"value of eq is a number":        `{` + goodExpiration + `,"conditions":[["eq","$key",1]]}`,
		"range of one number":            `{` + goodExpiration + `,"conditions":[["content-length-range",0]]}`,
		"range that begins below 0":      `{` + goodExpiration + `,"conditions":[["content-length-range",-1,0]]}`,
		"range upside down":              `{` + goodExpiration + `,"conditions":[["content-length-range",2,1]]}`,
		"range of fractions":             `{` + goodExpiration + `,"conditions":[["content-length-range",0,1.5]]}`,
		"range of words":                 `{` + goodExpiration + `,"conditions":[["content-length-range","a","b"]]}`,
		"range of null":                  `{` + goodExpiration + `,"conditions":[["content-length-range",null,1]]}`,
		"range beyond all numbers":       `{` + goodExpiration + `,"conditions":[["content-length-range",0,99999999999999999999]]}`,
		"string that is not UTF-8":       `{` + goodExpiration + `,"conditions":[{"a":"` + "\xff" + `"}]}`,
		"escape that neither JSON knows": `{` + goodExpiration + `,"conditions":[{"a":"\q"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parsePostPolicy(base64.StdEncoding.EncodeToString([]byte(doc)))
			if err == nil || toError(err).Code != "InvalidPolicyDocument" || statusOf(toError(err)) != 400 {
				t.Fatalf("got %v, want InvalidPolicyDocument", err)
			}
		})
	}
	if _, err := parsePostPolicy("not base64!"); err == nil || toError(err).Code != "InvalidPolicyDocument" {
		t.Fatalf("got %v, want InvalidPolicyDocument", err)
	}
}

func TestPostPolicyReadsConditions(t *testing.T) {
	p, err := parsePostPolicy(base64.StdEncoding.EncodeToString([]byte(
		"{ " + goodExpiration + ` , "conditions" : [ {"aCl" : "private"} , [ "EQ" , "$Key" , "\$a\v\\$\u00e9" ],
		["starts-with","$x-amz-meta-a",""], ["content-length-range", 5, "20"], ["content-length-range", 1, 10] ] }`)))
	if err != nil {
		t.Fatal(err)
	}
	want := []postCondition{{false, "acl", "private"}, {false, "key", "$a\v\\$é"}, {true, "x-amz-meta-a", ""}}
	if len(p.conditions) != len(want) || p.least != 5 || p.most != 10 || !p.expiration.Equal(time.Date(2026, 3, 14, 16, 0, 0, 0, time.UTC)) {
		t.Fatalf("got %+v", p)
	}
	for i := range want {
		if p.conditions[i] != want[i] {
			t.Errorf("condition %d is %v, want %v", i, p.conditions[i], want[i])
		}
	}
}

func FuzzPostPolicy(f *testing.F) {
	f.Add([]byte(`{`+goodExpiration+`,"conditions":[{"a":"b"},["eq","$key","\$x"],["content-length-range",0,"9"]]}`), "key", "v")
	f.Add([]byte(`{"conditions":[null,[null],{"a":null}]}`), "content-type", "a,b")
	f.Fuzz(func(t *testing.T, doc []byte, field, value string) {
		p, err := parsePostPolicy(base64.StdEncoding.EncodeToString(doc))
		if err != nil {
			if toError(err).Code != "InvalidPolicyDocument" {
				t.Fatalf("%q: %v", doc, err)
			}
			return
		}
		// A field that the policy does not name must never pass.
		named := uncovered(field)
		for _, c := range p.conditions {
			named = named || c.field == field
		}
		form := &form{fields: map[string]string{field: value}, names: []string{field}}
		if p.check(form, "bucket", p.expiration.Add(-1)) == nil && !named {
			t.Fatalf("%q lets the field %q pass", doc, field)
		}
		if p.check(form, "bucket", p.expiration) == nil {
			t.Fatalf("%q is good beyond its expiration", doc)
		}
	})
}
