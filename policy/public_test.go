package policy

import "testing"

func TestMeaningOfPublic(t *testing.T) {
	for name, c := range map[string]struct {
		principal, condition string
		public               bool
	}{
		"everyone":                {`"*"`, `{}`, true},
		"every account":           {`{"AWS":"*"}`, `{}`, true},
		"everyone among others":   {`{"AWS":["444455556666","*"]}`, `{}`, true},
		"an account":              {`{"AWS":"444455556666"}`, `{}`, false},
		"a tenant":                {`{"AWS":"arn:aws:iam::s3tenant1:root"}`, `{}`, false},
		"a service":               {`{"Service":"logging.s3.amazonaws.com"}`, `{}`, false},
		"one address":             {`"*"`, `{"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}}`, false},
		"an address range":        {`"*"`, `{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","2001:db8::/32"]}}`, false},
		"all addresses":           {`"*"`, `{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`, true},
		"half of them":            {`"*"`, `{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","0.0.0.0/1"]}}`, true},
		"all of IPv6":             {`"*"`, `{"IpAddress":{"aws:SourceIp":"2000::/3"}}`, true},
		"private addresses":       {`"*"`, `{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","fd00::/8"]}}`, false},
		"all but an address":      {`"*"`, `{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, true},
		"addresses, if any":       {`"*"`, `{"IpAddressIfExists":{"aws:SourceIp":"192.0.2.0/24"}}`, true},
		"any account":             {`"*"`, `{"StringLike":{"aws:PrincipalAccount":"vpc-*"}}`, true},
		"an account by condition": {`"*"`, `{"StringEquals":{"aws:PrincipalAccount":"vpc-91237329"}}`, false},
		"an account or any":       {`"*"`, `{"StringLike":{"aws:PrincipalAccount":["vpc-91237329","vpc-?"]}}`, true},
		"all values an account":   {`"*"`, `{"ForAllValues:StringEquals":{"aws:PrincipalAccount":"vpc-91237329"}}`, true},
		"not an account":          {`"*"`, `{"StringNotEquals":{"aws:PrincipalAccount":"vpc-91237329"}}`, true},
		"a variable":              {`"*"`, `{"StringEquals":{"aws:PrincipalAccount":"${aws:Referer}"}}`, true},
		"a ARN":                   {`"*"`, `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::1:root"}}`, false},
		"any ARN":                 {`"*"`, `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:root"}}`, true},
		"a referer":               {`"*"`, `{"StringEquals":{"aws:Referer":"http://example.com/"}}`, true},
		"TLS":                     {`"*"`, `{"Bool":{"aws:SecureTransport":"true"}}`, true},
		"a tag and an account":    {`"*"`, `{"StringEquals":{"s3:ExistingObjectTag/a":"b","aws:PrincipalAccount":"vpc-1"}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			statement := `"Principal":` + c.principal + `,"Action":"s3:GetObject","Resource":"*","Condition":` + c.condition + `}`
			if got := mustParse(t, doc(`{"Effect":"Allow",`+statement)).IsPublic(); got != c.public {
				t.Errorf("public: %v", got)
			}
			if mustParse(t, doc(`{"Effect":"Deny",`+statement)).IsPublic() {
				t.Error("a Deny is public")
			}
			private := `{"Effect":"Allow","Principal":{"AWS":"1"},"Action":"s3:*","Resource":"*"}`
			if got := mustParse(t, doc(private, `{"Effect":"Allow",`+statement)).IsPublic(); got != c.public {
				t.Errorf("public beside a private statement: %v", got)
			}
		})
	}
	if (*Policy)(nil).IsPublic() {
		t.Error("no policy is public")
	}
}
