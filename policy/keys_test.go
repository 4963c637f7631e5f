package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// never are keys, of AWS and misspelt ones, that no request here carries.
var never = []string{
	"aws:SecureTransprot", "aws:x", "aws:", "", "aws", "s3:", "s3:prefixes", "ec2:Vpc", "sts:ExternalId", "prefix", "s3:prefix/x", "aws:SourceIp/x", "aws:SecureTransport ",
	"aws:username", "aws:MultiFactorAuthPresent", "aws:MultiFactorAuthAge", "aws:PrincipalOrgID", "aws:PrincipalTag/a", "aws:ResourceTag/a", "aws:RequestTag/a", "aws:TagKeys",
	"aws:SourceVpc", "aws:SourceVpce", "aws:VpcSourceIp", "aws:SourceArn", "aws:SourceAccount", "aws:CalledVia", "aws:TokenIssueTime", "aws:FederatedProvider", "aws:PrincipalServiceName",
	"s3:locationconstraint", "s3:x-amz-bucket-namespace", "s3:x-amz-object-ownership", "s3:DataAccessPointArn", "s3:AccessPointNetworkOrigin", "s3:AccessGrantsInstanceArn",
	"s3:InventoryAccessibleOptionalFields", "s3:x-amz-object-annotation-directive", "s3:object-lock-event-hold",
	"s3:ExistingObjectTag/", "s3:ExistingObjectTag", "s3:RequestObjectTag/", "s3:BucketTag/",
}

func TestKeysThatNoRequestCarriesAreRefusedByName(t *testing.T) {
	for _, key := range never {
		for _, text := range []string{
			doc(fmt.Sprintf(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{%q:"x"}}}`, key)),
			doc(fmt.Sprintf(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"Null":{%q:"true"}}}`, key)),
			doc(fmt.Sprintf(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/${%s}/*"}`, key)),
			doc(fmt.Sprintf(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"StringLike":{"aws:Referer":"${%s, 'x'}"}}}`, key)),
		} {
			_, err := Parse([]byte(text))
			// Spaces around a variable's name do not count.
			if named := strings.Contains(fmt.Sprint(err), strings.ToLower(key)) || strings.Contains(fmt.Sprint(err), key); err == nil && key != "aws:SecureTransport " || err != nil && !named {
				t.Errorf("%q: %v\n%s", key, err, text)
			}
		}
	}
}

func TestEveryKeyOfTheTableIsTakenInAnyCase(t *testing.T) {
	for _, k := range Keys() {
		name := k.Name
		if k.family() {
			name += "Team/1"
		}
		action := "*"
		if k.Actions != nil {
			action = k.Actions[0]
		}
		for _, spelling := range []string{name, strings.ToUpper(name), strings.ToLower(name)} {
			text := doc(fmt.Sprintf(`{"Effect":"Deny","Principal":"*","Action":"s3:%s","Resource":"*","Condition":{"Null":{%q:"true"}}}`, action, spelling))
			if _, err := Parse([]byte(text)); err != nil {
				t.Errorf("%s: %v", spelling, err)
			}
		}
		if sources := len(k.Header) + len(k.Param) + len(k.From); sources == 0 || k.Type == "" || (k.Header != "") && (k.Param+k.From != "") {
			t.Errorf("%s says nothing, or too much, of its source: %+v", k.Name, k)
		}
	}
}

func TestKeysMustSuitTheActionsAndTheOperator(t *testing.T) {
	for _, c := range []struct {
		actions, condition string
		want               string // in the error; "" is none
	}{
		{`"Action":"s3:ListBucket"`, `{"StringLike":{"s3:prefix":"x"}}`, ""},
		{`"Action":"s3:List*"`, `{"StringLike":{"s3:prefix":"x"}}`, ""},
		{`"Action":["s3:*"]`, `{"StringLike":{"s3:prefix":"x"}}`, ""},
		{`"NotAction":"s3:GetObject"`, `{"StringLike":{"s3:prefix":"x"}}`, ""},
		{`"NotAction":"s3:List*"`, `{"StringLike":{"s3:prefix":"x"}}`, "s3:prefix"},
		{`"Action":"s3:GetObject"`, `{"StringLike":{"s3:prefix":"x"}}`, "s3:prefix"},
		{`"Action":["s3:ListBucket","s3:GetObject"]`, `{"StringLike":{"s3:prefix":"x"}}`, "s3:prefix"},
		{`"Action":["s3:PutObject","s3:DeleteObject"]`, `{"Bool":{"s3:ObjectCreationOperation":"true"}}`, "s3:ObjectCreationOperation"},
		{`"Action":["s3:PutObject","s3:DeleteObject"]`, `{"Null":{"s3:if-match":"true"}}`, ""},
		{`"Action":"s3:GetObject"`, `{"StringEquals":{"aws:Referer":"${s3:prefix}"}}`, "s3:prefix"},
		{`"Action":"s3:PutObject"`, `{"StringEquals":{"aws:Referer":"${s3:RequestObjectTagKeys}"}}`, "several values"},
		{`"Action":"s3:PutObject"`, `{"StringEquals":{"aws:Referer":"${s3:RequestObjectTag/a}"}}`, ""},
		{`"Action":"s3:*"`, `{"IpAddress":{"aws:SecureTransport":"10.0.0.0/8"}}`, "aws:SecureTransport, which is of type Bool"},
		{`"Action":"s3:*"`, `{"Bool":{"aws:SourceIp":"true"}}`, "aws:SourceIp"},
		{`"Action":"s3:*"`, `{"NumericLessThan":{"aws:CurrentTime":"5"}}`, "aws:CurrentTime"},
		{`"Action":"s3:*"`, `{"NumericLessThan":{"aws:EpochTime":"5"},"DateLessThan":{"aws:EpochTime":"2026-01-01"}}`, ""},
		{`"Action":"s3:*"`, `{"ArnLike":{"aws:SourceIp":"arn:aws:iam::1:*"}}`, "aws:SourceIp"},
		{`"Action":"s3:*"`, `{"ForAnyValue:DateEqualsIfExists":{"aws:PrincipalArn":"2026"}}`, "aws:PrincipalArn"},
		{`"Action":"s3:*"`, `{"StringLike":{"aws:SourceIp":"10.*","aws:SecureTransport":"true","aws:CurrentTime":"2026*","aws:PrincipalArn":"*"}}`, ""},
		{`"Action":"s3:*"`, `{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"},"Null":{"aws:SourceIp":"false"}}`, ""},
	} {
		_, err := Parse([]byte(doc(`{"Effect":"Deny","Principal":"*",` + c.actions + `,"Resource":"*","Condition":` + c.condition + `}`)))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s if %s: %v", c.actions, c.condition, err)
		}
	}
}

// A header or parameter that the action does not carry decides nothing.
func TestContextCountsAsFarAsTheActionCarriesIt(t *testing.T) {
	facts := policied(t, doc(`{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"s3:x-amz-acl":"private"}}}`))
	for action, want := range map[string]bool{"PutObject": true, "PutBucketAcl": true, "GetObject": false, "DeleteObject": false} {
		ask{other, action, "k", ctx("s3:x-amz-acl", "private"), want}.run(t, facts, &ObjectFacts{}, time.Time{})
	}
}

func TestStoredPoliciesFailClosed(t *testing.T) {
	const everyone = `"Principal":"*","Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::amzn-s3-demo-bucket/*"`
	allow := `{"Effect":"Allow",` + everyone + `}`
	for name, c := range map[string]struct {
		text string
		want bool // whether another tenant may get k
	}{
		"valid":                                     {doc(allow), true},
		"deny, unknown key":                         {doc(allow, `{"Effect":"Deny",`+everyone+`,"Condition":{"Bool":{"aws:SecureTransprot":"false"}}}`), false},
		"deny, negated unknown key":                 {doc(allow, `{"Effect":"Deny",`+everyone+`,"Condition":{"StringNotEquals":{"aws:SourceVpc":"v"}}}`), false},
		"deny, if it exists":                        {doc(allow, `{"Effect":"Deny",`+everyone+`,"Condition":{"StringEqualsIfExists":{"aws:SourceVpc":"v"}}}`), false},
		"deny, null is false":                       {doc(allow, `{"Effect":"Deny",`+everyone+`,"Condition":{"Null":{"aws:SourceVpc":"false"}}}`), false},
		"deny, of another action":                   {doc(allow, `{"Effect":"Deny",`+everyone+`,"Condition":{"StringEquals":{"s3:prefix":"v"}}}`), false},
		"deny, wrong type":                          {doc(allow, `{"Effect":"Deny",`+everyone+`,"Condition":{"NumericEquals":{"aws:SourceIp":"1"}}}`), false},
		"deny, unknown variable":                    {doc(allow, `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::amzn-s3-demo-bucket/${aws:username}/*"}`), false},
		"deny, variable in a value":                 {doc(allow, `{"Effect":"Deny",`+everyone+`,"Condition":{"StringEquals":{"aws:Referer":"${aws:username, 'x'}"}}}`), false},
		"deny, but another condition does not hold": {doc(allow, `{"Effect":"Deny",`+everyone+`,"Condition":{"StringEquals":{"aws:SourceVpc":"v","aws:Referer":"x"}}}`), true},
		"deny of another action":                    {doc(allow, `{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"v"}}}`), true},
		"deny of another principal":                 {doc(allow, `{"Effect":"Deny","Principal":{"AWS":"777788889999"},"Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"v"}}}`), true},
		"deny of all but a variable's":              {doc(allow, `{"Effect":"Deny","Principal":"*","Action":"s3:*","NotResource":"arn:aws:s3:::amzn-s3-demo-bucket/${aws:username}/*"}`), false},
		"allow, unknown key":                        {doc(`{"Effect":"Allow",` + everyone + `,"Condition":{"StringNotEquals":{"aws:SourceVpc":"v"}}}`), false},
		"allow, null is true":                       {doc(`{"Effect":"Allow",` + everyone + `,"Condition":{"Null":{"aws:SourceVpc":"true"}}}`), false},
		"allow, unknown variable":                   {doc(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::amzn-s3-demo-bucket/${aws:username, 'k'}"}`), false},
		"allow all but a variable's":                {doc(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","NotResource":"arn:aws:s3:::amzn-s3-demo-bucket/${aws:username, 'x'}"}`), false},
		"deny, too many variables":                  {doc(allow, `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::amzn-s3-demo-bucket/x"`+strings.Repeat(`,"arn:aws:s3:::amzn-s3-demo-bucket/${aws:userid}"`, 101)+`]}`), false},
		"deny, too many values":                     {doc(allow, `{"Effect":"Deny",`+everyone+`,"Condition":{"NumericEquals":{"aws:EpochTime":[`+strings.Repeat("1,", MaxValues)+`1]}}}`), false},
		"no policy at all":                          {`{`, false},
		"unknown action":                            {doc(allow, `{"Effect":"Deny","Principal":"*","Action":"s3:Frobnicate","Resource":"*"}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := ParseStored([]byte(c.text))
			if _, strict := Parse([]byte(c.text)); p == nil || (err == nil) != (strict == nil) {
				t.Fatalf("%v, %v", p, err)
			}
			facts := BucketFacts{Name: bucket, Owner: owner.ID, Policy: p}
			ask{other, "GetObject", "k", nil, c.want}.run(t, facts, &ObjectFacts{}, time.Time{})
			for _, action := range ownPolicy {
				ask{owner, strings.TrimPrefix(action, "s3:"), "", nil, true}.run(t, facts, &ObjectFacts{}, time.Time{})
			}
		})
	}
}
