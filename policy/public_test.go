package policy

import "testing"

func TestMeaningOfPublic(t *testing.T) {
	for name, c := range map[string]struct {
		principal, condition string
		public               bool
	}{
		"everyone":                     {`"*"`, `{}`, true},
		"every account":                {`{"AWS":"*"}`, `{}`, true},
		"everyone among others":        {`{"AWS":["444455556666","*"]}`, `{}`, true},
		"an account":                   {`{"AWS":"444455556666"}`, `{}`, false},
		"a tenant":                     {`{"AWS":"arn:aws:iam::s3tenant1:root"}`, `{}`, false},
		"a service":                    {`{"Service":"logging.s3.amazonaws.com"}`, `{}`, false},
		"one address":                  {`"*"`, `{"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}}`, false},
		"an address range":             {`"*"`, `{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","2001:db8::/32"]}}`, false},
		"all addresses":                {`"*"`, `{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`, true},
		"half of them":                 {`"*"`, `{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","0.0.0.0/1"]}}`, true},
		"all of IPv6":                  {`"*"`, `{"IpAddress":{"aws:SourceIp":"2000::/3"}}`, true},
		"private addresses":            {`"*"`, `{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","fd00::/8"]}}`, false},
		"all but an address":           {`"*"`, `{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, true},
		"addresses, if any":            {`"*"`, `{"IpAddressIfExists":{"aws:SourceIp":"192.0.2.0/24"}}`, true},
		"addresses of another key":     {`"*"`, `{"IpAddress":{"aws:VpcSourceIp":"192.0.2.0/24"}}`, true},
		"any VPC":                      {`"*"`, `{"StringLike":{"aws:SourceVpc":"vpc-*"}}`, true},
		"a VPC":                        {`"*"`, `{"StringEquals":{"aws:SourceVpc":"vpc-91237329"}}`, false},
		"a VPC or any":                 {`"*"`, `{"StringLike":{"aws:SourceVpc":["vpc-91237329","vpc-?"]}}`, true},
		"all values a VPC":             {`"*"`, `{"ForAllValues:StringEquals":{"aws:SourceVpc":"vpc-91237329"}}`, true},
		"not a VPC":                    {`"*"`, `{"StringNotEquals":{"aws:SourceVpc":"vpc-91237329"}}`, true},
		"a variable":                   {`"*"`, `{"StringEquals":{"aws:SourceAccount":"${aws:PrincipalAccount}"}}`, true},
		"an organization":              {`"*"`, `{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`, false},
		"a source ARN":                 {`"*"`, `{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::b"}}`, false},
		"any source ARN":               {`"*"`, `{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::*"}}`, true},
		"a referer":                    {`"*"`, `{"StringEquals":{"aws:Referer":"http://example.com/"}}`, true},
		"TLS":                          {`"*"`, `{"Bool":{"aws:SecureTransport":"true"}}`, true},
		"access points of an account":  {`"*"`, `{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:us-west-2:123456789012:accesspoint/*"}}`, false},
		"access points of any account": {`"*"`, `{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:us-west-2:*:accesspoint/x"}}`, true},
		"a tag and a VPC":              {`"*"`, `{"StringEquals":{"s3:ExistingObjectTag/a":"b","aws:SourceVpc":"vpc-1"}}`, false},
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
