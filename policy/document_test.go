package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const minimal = `"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::amzn-s3-demo-bucket/*"`

// with is a policy of the minimal statement with one of its fields replaced.
func with(name, value string) string {
	var out []string
	for _, f := range []string{"Effect", "Principal", "Action", "Resource"} {
		old := map[string]string{"Effect": `"Allow"`, "Principal": `"*"`, "Action": `"s3:GetObject"`, "Resource": `"arn:aws:s3:::b/*"`}[f]
		if f == name {
			old = value
		}
		if old != "" {
			out = append(out, fmt.Sprintf("%q:%s", f, old))
		}
	}
	if !strings.Contains("Effect Principal Action Resource", name) {
		out = append(out, fmt.Sprintf("%q:%s", name, value))
	}
	return doc("{" + strings.Join(out, ",") + "}")
}

func TestMalformedPoliciesAreRefusedWithTheirPlace(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	for name, c := range map[string]struct{ text, want string }{
		"empty":                           {"", "first byte must be '{' (line 1, column 1)"},
		"a list":                          {"[]", "first byte must be '{'"},
		"not JSON":                        {"{\n  Version: 1}", "invalid Json"},
		"cut":                             {`{"Version":"2012-10-17","Statement":[{"Eff`, "it ends too early"},
		"cut after a value":               {`{"Version":"2012-10-17"`, "it ends too early"},
		"a missing comma":                 {`{"Version":"2012-10-17" "Id":"x"}`, "invalid Json"},
		"something after":                 {doc("{"+minimal+"}") + "{}", "something follows its end"},
		"not UTF-8":                       {"{\"Id\":\"\xff\"}", "not UTF-8"},
		"too deep":                        {doc(deep), "nested too deeply"},
		"too long":                        {doc(`{"Sid":"` + strings.Repeat("x", MaxBytes) + `",` + minimal + "}"), "maximum allowed document size"},
		"a field twice":                   {doc(`{"Effect":"Deny",` + minimal + "}"), "twice in Statement[0].Effect"},
		"unknown version":                 {`{"Version":"2013-01-01","Statement":[]}`, "valid version string in Version (line 1, column 12)"},
		"version is a number":             {`{"Version":2012,"Statement":[]}`, "valid version string"},
		"unknown field":                   {"{\n \"Version\":\"2012-10-17\",\n \"Statements\":[]}", "Unknown field Statements in Statements (line 3, column 15)"},
		"id is a number":                  {`{"Id":1,"Statement":[{` + minimal + "}]}", "Expected a string in Id"},
		"no statement":                    {`{"Version":"2012-10-17"}`, "Missing required field Statement"},
		"no statements":                   {doc(), "Statement is empty!"},
		"statement is text":               {doc(`"x"`), "Expected a statement in braces in Statement[0]"},
		"second is wrong":                 {doc("{"+minimal+"}", "{}"), "Missing required field Effect in Statement[1]"},
		"no effect":                       {with("Effect", ""), "Missing required field Effect"},
		"other effect":                    {with("Effect", `"allow"`), "Invalid effect: allow in Statement[0].Effect"},
		"no principal":                    {with("Principal", ""), "Missing required field Principal"},
		"no action":                       {with("Action", ""), "Missing required field Action"},
		"no resource":                     {with("Resource", ""), "Missing required field Resource"},
		"unknown in statement":            {with("Conditions", `{}`), "Unknown field Conditions"},
		"both":                            {with("NotAction", `"s3:*"`), "both Action and NotAction"},
		"allow with NotPrincipal":         {with("Principal", "")[:len(with("Principal", ""))-3] + `,"NotPrincipal":{"AWS":"arn:aws:iam::s3tenant1:root"}}]}`, "Allow with NotPrincipal is not allowed"},
		"sid is a number":                 {with("Sid", "1"), "Expected a string"},
		"principal is text":               {with("Principal", `"444455556666"`), "Invalid principal"},
		"principal is empty":              {with("Principal", `{}`), "Invalid principal"},
		"principal of no list":            {with("Principal", `{"AWS":[]}`), "Empty list in Statement[0].Principal.AWS"},
		"principal of other kind":         {with("Principal", `{"aws":"*"}`), "unknown kind aws"},
		"federated":                       {with("Principal", `{"Federated":"accounts.google.com"}`), "no federated users"},
		"a role":                          {with("Principal", `{"AWS":"arn:aws:iam::111122223333:role/r"}`), "no such identities"},
		"a session":                       {with("Principal", `{"AWS":"arn:aws:sts::111122223333:assumed-role/r/s"}`), "Invalid principal"},
		"part of a name":                  {with("Principal", `{"AWS":"arn:aws:iam::111122223333:user/*"}`), "Invalid principal"},
		"no account":                      {with("Principal", `{"AWS":"arn:aws:iam:::root"}`), "Invalid principal"},
		"canonical user of all":           {with("Principal", `{"CanonicalUser":"*"}`), "not a canonical id"},
		"service of all":                  {with("Principal", `{"Service":"*"}`), "not a service"},
		"other service's action":          {with("Action", `"ec2:RunInstances"`), `invalid action "ec2:RunInstances" in Statement[0].Action`},
		"no such action":                  {with("Action", `["s3:GetObject","s3:GetObjekt"]`), "in Statement[0].Action[1]"},
		"a wildcard for nothing":          {with("Action", `"s3:Frob*"`), "invalid action"},
		"action is a number":              {with("Action", `[1]`), "Expected a string"},
		"no ARN":                          {with("Resource", `"bucket/*"`), "invalid resource"},
		"other service's resource":        {with("Resource", `"arn:aws:sqs:::q"`), "invalid resource"},
		"a region":                        {with("Resource", `"arn:aws:s3:eu-west-1::b"`), "invalid resource"},
		"an empty name":                   {with("Resource", `"arn:aws:s3:::"`), "invalid resource"},
		"an open variable":                {with("Resource", `"arn:aws:s3:::b/${aws:userid"`), "not closed"},
		"a variable of no name":           {with("Resource", `"arn:aws:s3:::b/${}"`), "not closed, or has no name"},
		"a bad default":                   {with("Resource", `"arn:aws:s3:::b/${aws:userid, x}"`), "variable"},
		"condition is text":               {with("Condition", `"x"`), "Expected conditions"},
		"unknown operator":                {with("Condition", `{"StringMatches":{"aws:Referer":"x"}}`), "Invalid Condition type : StringMatches"},
		"unknown set operator":            {with("Condition", `{"ForSomeValues:StringLike":{"aws:Referer":"x"}}`), "Invalid Condition type"},
		"NullIfExists":                    {with("Condition", `{"NullIfExists":{"aws:Referer":"true"}}`), "Invalid Condition type"},
		"operator of nothing":             {with("Condition", `{"StringLike":{}}`), "Expected condition keys"},
		"unknown key":                     {with("Condition", `{"StringLike":{"s3:prefixes":"x"}}`), "invalid condition key: s3:prefixes"},
		"other service's key":             {with("Condition", `{"StringLike":{"ec2:Vpc":"x"}}`), "invalid condition key"},
		"a tag of no name":                {with("Condition", `{"StringLike":{"s3:ExistingObjectTag/":"x"}}`), "invalid condition key"},
		"no values":                       {with("Condition", `{"StringLike":{"aws:Referer":[]}}`), "Empty list"},
		"value is an object":              {with("Condition", `{"StringLike":{"aws:Referer":{}}}`), "Expected a string, a number or a boolean"},
		"value is null":                   {with("Condition", `{"StringLike":{"aws:Referer":null}}`), "Expected a string"},
		"no number":                       {with("Condition", `{"NumericEquals":{"aws:EpochTime":"ten"}}`), `"ten": NumericEquals wants a number`},
		"not a number":                    {with("Condition", `{"NumericEquals":{"aws:EpochTime":"NaN"}}`), "wants a number"},
		"no date":                         {with("Condition", `{"DateNotEquals":{"aws:CurrentTime":"today"}}`), "wants a date"},
		"no boolean":                      {with("Condition", `{"Bool":{"aws:SecureTransport":"yes"}}`), "wants true or false"},
		"no address":                      {with("Condition", `{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}`), "wants an IP address"},
		"no address, negated":             {with("Condition", `{"NotIpAddress":{"aws:SourceIp":"all"}}`), "wants an IP address"},
		"no base64":                       {with("Condition", `{"BinaryEquals":{"aws:Referer":"*"}}`), "wants base64"},
		"no ARN in a condition":           {with("Condition", `{"ArnLike":{"aws:PrincipalArn":"my-bucket"}}`), "wants an ARN of six parts"},
		"an open variable in a condition": {with("Condition", `{"StringLike":{"aws:Referer":"${aws:userid"}}`), "not closed"},
		"too many values":                 {with("Condition", `{"NumericEquals":{"aws:EpochTime":[`+strings.Repeat("1,", 1249)+`1]},"DateEquals":{"aws:EpochTime":["2026"`+strings.Repeat(`,"2026"`, 1250)+`]}}`), "more than 2500 values"},
		"too many variables":              {with("Resource", `["*"`+strings.Repeat(`,"arn:aws:s3:::b/${aws:userid}"`, MaxVariables+1)+`]`), "more than 100 variables"},
		"Null of two":                     {with("Condition", `{"Null":{"aws:Referer":["true","false"]}}`), "Null takes one value"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Parse([]byte(c.text))
			var malformed *MalformedError
			if !errors.As(err, &malformed) || p != nil {
				t.Fatalf("%v, want an error with %q", err, c.want)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if malformed.Line == 0 && name != "too long" {
				t.Errorf("no place: %v", err)
			}
		})
	}
}

func TestWellFormedPolicies(t *testing.T) {
	for name, text := range map[string]string{
		"old version, single statement": `{"Version":"2008-10-17","Id":"x","Statement":{` + minimal + "}}",
		"no version":                    `{"Statement":[{` + minimal + "}]}",
		"as many values as may be":      with("Condition", `{"NumericEquals":{"aws:EpochTime":[`+strings.Repeat("1,", 1249)+`1]},"DateEquals":{"aws:EpochTime":["2026"`+strings.Repeat(`,"2026"`, 1249)+`]}}`),
		"spaces":                        " \n" + doc("{"+minimal+"}") + "\n\t",
		"a sid twice":                   doc(`{"Sid":"a b",`+minimal+"}", `{"Sid":"a b",`+minimal+"}"),
		"kinds of principal":            with("Principal", `{"AWS":["*","444455556666","arn:aws:iam::a-b:root","arn:aws-cn:iam::1:user/x/y"],"CanonicalUser":"c0ffee","Service":["logging.s3.amazonaws.com"]}`),
		"actions":                       with("Action", `["s3:getobject","S3:*","*","s3:Get*","s3:?etObject"]`),
		"resources":                     with("Resource", `["*","arn:aws:s3:::*","arn:aws-cn:s3:::b","arn:aws:s3:::b/${aws:userid, 'absent'}/${*}"]`),
		"numbers and booleans":          with("Condition", `{"NumericLessThan":{"s3:signatureAge":[10,1.5,"1e3"]},"Bool":{"aws:SecureTransport":true},"Null":{"aws:Referer":false}}`),
		"keys in any case":              with("Condition", `{"ForAllValues:StringLikeIfExists":{"AWS:referer":["a","b"],"AWS:USERID":"v","S3:existingobjecttag/a/b":"c"}}`),
	} {
		if _, err := Parse([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateHoldsResourcesToTheBucket(t *testing.T) {
	for res, want := range map[string]bool{
		"b": true, "b/*": true, "b/x/y": true, "*": true, "arn:all": true, "*/*": true, "b*": true, "?": true, "?/x": true,
		"a": false, "bb": false, "bb/*": false, "a/*": false, "a*": false, "*a": true, "??/x": true, "b??x": true,
		"c*/b": false, "${aws:userid}/x": true, "b${aws:userid}": true, "c${aws:userid}": false,
	} {
		arn := "arn:aws:s3:::" + res
		if res == "arn:all" {
			arn = "*"
		}
		for _, field := range []string{"Resource", "NotResource"} {
			text := doc(fmt.Sprintf(`{"Effect":"Allow","Principal":"*","Action":"s3:*",%q:%q}`, field, arn))
			err := mustParse(t, text).Validate("b")
			if want != (err == nil) {
				t.Errorf("%s: %v", arn, err)
			}
			if err != nil && !strings.Contains(err.Error(), "invalid resource") {
				t.Errorf("%s: %v", arn, err)
			}
		}
	}
}

func TestVariablesNeedTheNewerVersion(t *testing.T) {
	text := `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:userid}"}}`
	old, newer := mustParse(t, text), mustParse(t, strings.Replace(text, "2008-10-17", "2012-10-17", 1))
	for key, want := range map[string][2]bool{"${aws:userid}": {true, false}, "x": {false, true}} {
		for i, p := range []*Policy{old, newer} {
			d, err := Evaluate(Request{Principal: Principal{ID: "x"}, Action: "s3:GetObject", Key: key,
				Bucket: BucketFacts{Name: "b", Owner: "o", Policy: p}})
			if err != nil || d.Allowed != want[i] {
				t.Errorf("%s with %s: %+v, %v", key, p.Version, d, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(doc("{" + minimal + "}")))
	f.Add([]byte(with("Condition", `{"ForAnyValue:StringNotLikeIfExists":{"s3:prefix":["${aws:userid}/*","${*}"]},"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::1:*"},"NumericLessThan":{"aws:EpochTime":5},"NotIpAddress":{"aws:SourceIp":"::/0"}}`)))
	f.Add([]byte(with("Principal", `{"AWS":["arn:aws:iam::1:user/x"],"Service":"a.b"}`)))
	f.Add([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"1"},"NotAction":"s3:Get*","NotResource":"arn:aws:s3:::b/${aws:Referer,'x'}"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if stored, why := ParseStored(text); stored == nil || stored.Bytes() <= 0 || (why == nil) != (err == nil) {
			t.Fatalf("stored: %v, %v; %v", stored, why, err)
		}
		if err != nil {
			var malformed *MalformedError
			if !errors.As(err, &malformed) || malformed.Message == "" {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if p.Validate("b") != nil {
			return
		}
		denied := false
		for _, s := range p.Statements {
			denied = denied || s.Deny
		}
		request := Request{Action: "s3:GetObject", Key: "a/b", Bucket: BucketFacts{Name: "b", Owner: "1", Policy: p},
			Context: ctx("s3:prefix", "x", "aws:SourceIp", "::1", "s3:max-keys", "5")}
		for _, who := range []Principal{anonymous, {ID: "1"}, {ID: "2", User: "x"}, logging} {
			request.Principal = who
			d, err := Evaluate(request)
			if err != nil || d.Reason == "" || (d.Explicit && !denied) {
				t.Fatalf("%+v, %v", d, err)
			}
			if who.ID == "1" && !d.Allowed && !denied {
				t.Fatalf("the owner is refused though nothing denies: %+v", d)
			}
			if who.Anonymous && d.Allowed && !p.IsPublic() && !confined(p) {
				t.Fatalf("a policy that is not public lets the anonymous in: %+v", d)
			}
		}
	})
}

// confined reports whether any statement has conditions.
func confined(p *Policy) bool {
	for _, s := range p.Statements {
		if len(s.conditions) > 0 {
			return true
		}
	}
	return false
}
