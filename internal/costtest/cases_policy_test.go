package costtest

import (
	"fmt"
	"strings"

	"github.com/pithos/pithos/internal/s3test"
)

// policyCases are requests to buckets whose policy is as costly as
// PutBucketPolicy accepts. The caller is someone else, or no one.
var policyCases = []testCase{
	{"PolicyVariablesInResource", refused, "what variables expand to is bounded", policyResourceVariables},
	{"PolicyVariablesInCondition", refused, "what variables expand to is bounded", policyConditionVariables},
	{"PolicyStringLike", refused, "patterns are matched in linear time", policyStringLike},
	{"PolicyStringLikeMany", refused, "a condition value longer than any that is sent matches nothing", policyStringLikeMany},
	{"PolicyStringLikeEachKey", refusedEach, "conditions on the request are decided once, not for each key", policyEachKey},
	{"PolicyResourcesEachKey", refusedEach, "patterns of resources are matched in linear time", policyResourcesEachKey},
	{"PolicyBinaryEquals", refused, "a condition value is decoded once, not for each test", policyBinary},
	{"PolicyNumeric", refused, "a condition value is parsed once, not for each test", policyNumeric},
	{"PolicyDates", refused, "a condition value is parsed once, not for each test", policyDates},
	{"PolicyAddresses", refused, "a condition value is parsed once, not for each test", policyAddresses},
	{"PolicyEqualsIgnoreCase", refused, "texts of different lengths are not compared", policyIgnoreCase},
	{"PolicyARNs", refused, "an ARN is taken apart once", policyARNs},
	{"PolicyStatementsMany", refused, "statements are tried until one applies", policyStatements},
	{"PolicyTagKeys", small, "every value is compared with every test, ten tags at most", policyTagKeys},
	{"PolicyIsPublic", refused, "whether a policy is public is decided once for each policy", policyIsPublic},
	{"PolicyPrincipals", refused, "principals are compared once for each statement", policyManyPrincipals},
	{"PolicyOfMissingKey", refused, "a policy is evaluated a fixed number of times", policyMissing},
	{"PolicyPutStars", setting, "validation is linear in the policy", policyStars},
	{"PolicyPutDeep", setting, "depth is bounded", policyDeep},
	{"PolicyPutLongPaths", setting, "places in the document are named for errors only", policyPaths},
	{"PolicyPutEscapes", setting, "a policy is decoded once", policyEscapes},
	{"PolicyPutPrincipals", setting, "a principal is parsed once", policyPrincipals},
}

// statement is a policy of one Deny statement for everybody.
func statement(bucket, condition string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"arn:aws:s3:::%s/*","Condition":{%s}}]}`, bucket, condition)
}

// policyRoom is what the hostile part of a policy of 20 KB can take.
const policyRoom = 20<<10 - 300

// conditioned stores a policy that tests a condition key with n values, or as
// many as are accepted.
func (x *fixture) conditioned(operator, key string, n int, value func(i int) string) (bucket string) {
	x.Helper()
	bucket = x.object()
	x.policy(bucket, n, func(n int) string {
		values := make([]string, n)
		for i := range values {
			values[i] = `"` + value(i) + `"`
		}
		return statement(bucket, fmt.Sprintf(`"%s":{"%s":[%s]}`, operator, key, strings.Join(values, ",")))
	})
	return bucket
}

// get is an anonymous GET with a long header of each kind that is a condition
// key.
func (x *fixture) get(bucket, value string) attack {
	a := attack{status: []int{400, 403, 404}}
	for _, name := range []string{"User-Agent", "Referer"} {
		a.requests = append(a.requests, x.raw("GET", "/"+bucket+"/key", name, value))
	}
	return a
}

func policyResourceVariables(x *fixture) attack {
	bucket := x.object()
	x.policy(bucket, policyRoom/16, func(n int) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::%s/%s"}]}`, bucket, strings.Repeat("${aws:UserAgent}", n))
	})
	return x.get(bucket, fill("u", room))
}

func policyConditionVariables(x *fixture) attack {
	bucket := x.conditioned("StringLike", "aws:Referer", policyRoom/19, func(int) string { return "${aws:UserAgent}*" })
	return attack{requests: [][]byte{x.raw("GET", "/"+bucket+"/key", "User-Agent", fill("u", room-100), "Referer", "u")}, status: []int{400, 403}}
}

func policyStringLike(x *fixture) attack {
	bucket := x.object()
	x.policy(bucket, policyRoom, func(n int) string {
		return statement(bucket, `"StringLike":{"aws:UserAgent":"*`+fill("a", n/2)+`*`+fill("a", n/2)+`b*c"}`)
	})
	return x.get(bucket, fill("a", room))
}

func policyStringLikeMany(x *fixture) attack {
	return x.get(x.conditioned("StringLike", "aws:UserAgent", policyRoom/9, func(int) string { return "*aaab*" }), fill("a", room))
}

// deleteMany is a DeleteObjects of n keys.
func (x *fixture) deleteMany(key s3test.Key, bucket string, n int, name func(i int) string, header ...string) []byte {
	var b strings.Builder
	b.WriteString("<Delete>")
	for i := range n {
		fmt.Fprintf(&b, "<Object><Key>%s</Key></Object>", name(i))
	}
	b.WriteString("</Delete>")
	body := []byte(b.String())
	return x.request(key, "POST", "/"+bucket+"?delete", body, append([]string{"Content-Md5", md5Of(body)}, header...)...)
}

const deletes = 1000

func policyEachKey(x *fixture) attack {
	bucket := x.object()
	x.policy(bucket, policyRoom, func(n int) string {
		return statement(bucket, `"StringLike":{"aws:UserAgent":"*`+fill("a", n/2)+`*`+fill("a", n/2)+`b*c"}`)
	})
	return attack{requests: [][]byte{x.deleteMany(unsigned, bucket, deletes, func(i int) string { return fmt.Sprint("k", i) }, "User-Agent", fill("a", room-500))},
		status: []int{200, 403}, units: deletes}
}

func policyResourcesEachKey(x *fixture) attack {
	bucket := x.object()
	x.policy(bucket, policyRoom/100, func(n int) string {
		resources := make([]string, n)
		for i := range resources {
			resources[i] = fmt.Sprintf(`"arn:aws:s3:::%s/*a*a*a*%db"`, bucket, i)
		}
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":[%s]}]}`, strings.Join(resources, ","))
	})
	return attack{requests: [][]byte{x.deleteMany(unsigned, bucket, deletes, func(i int) string { return fmt.Sprintf("%d%s", i, fill("a", 1000)) })},
		status: []int{200, 403}, units: deletes}
}

func policyBinary(x *fixture) attack {
	return x.get(x.conditioned("BinaryEquals", "aws:UserAgent", policyRoom/7, func(int) string { return "AA==" }), fill("AAAA", room))
}

func policyNumeric(x *fixture) attack {
	return x.get(x.conditioned("NumericEquals", "aws:UserAgent", policyRoom/4, func(int) string { return "1" }), "0."+fill("0", room-10)+"1e1")
}

func policyDates(x *fixture) attack {
	return x.get(x.conditioned("DateEquals", "aws:UserAgent", policyRoom/7, func(int) string { return "2006" }), "2006-01-02T15:04:05."+fill("0", room-30)+"Z")
}

func policyAddresses(x *fixture) attack {
	return x.get(x.conditioned("IpAddress", "aws:UserAgent", policyRoom/7, func(int) string { return "::/9" }), "1::2%"+fill("0", room-10))
}

func policyIgnoreCase(x *fixture) attack {
	return x.get(x.conditioned("StringEqualsIgnoreCase", "aws:UserAgent", policyRoom/23, func(int) string { return fill("a", 20) }), fill("A", room))
}

func policyARNs(x *fixture) attack {
	return x.get(x.conditioned("ArnLike", "aws:UserAgent", policyRoom/19, func(int) string { return "arn:*:*:*:*:*a*ab" }), "arn:"+fill("a", room/2)+"::::"+fill("a", room/3))
}

func policyStatements(x *fixture) attack {
	bucket := x.object()
	x.policy(bucket, policyRoom/160, func(n int) string {
		statements := make([]string, n)
		for i := range statements {
			statements[i] = fmt.Sprintf(`{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::%s/*","Condition":{"StringLike":{"aws:UserAgent":"*a*b*%d"}}}`, bucket, i)
		}
		return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	})
	return x.get(bucket, fill("a", room))
}

func policyTagKeys(x *fixture) attack {
	bucket := x.conditioned("ForAllValues:StringLike", "s3:RequestObjectTagKeys", policyRoom/9, func(int) string { return "*aaab*" })
	tags := make([]string, 10)
	for i := range tags {
		tags[i] = fmt.Sprintf("%d%s=v", i, fill("a", 120))
	}
	return oneOf(x.request(s3test.Alice, "PUT", "/"+bucket+"/tagged", []byte("x"), "X-Amz-Tagging", strings.Join(tags, "&")), 200, 403)
}

func policyMissing(x *fixture) attack {
	bucket := x.conditioned("StringLike", "aws:UserAgent", policyRoom/9, func(int) string { return "*aaab*" })
	return attack{requests: [][]byte{x.raw("GET", "/"+bucket+"/missing", "User-Agent", fill("a", room)), x.raw("HEAD", "/"+bucket+"/missing", "User-Agent", fill("a", room))}, status: []int{400, 403, 404}}
}

func policyIsPublic(x *fixture) attack {
	bucket := x.object()
	x.policy(bucket, policyRoom/22, func(n int) string {
		values := make([]string, n)
		for i := range values {
			values[i] = fmt.Sprintf(`"10.%d.%d.0/28"`, i/256, i%256)
		}
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::%s/*","Condition":{"IpAddress":{"aws:SourceIp":[%s]}}}]}`, bucket, strings.Join(values, ","))
	})
	block := []byte("<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>")
	x.must(s3test.Alice, "PUT", "/"+bucket+"?publicAccessBlock", block, "Content-Md5", md5Of(block))
	return attack{requests: [][]byte{
		x.raw("GET", "/"+bucket+"/key"),
		x.request(s3test.Bob, "GET", "/"+bucket+"/key", nil),
		x.request(s3test.Alice, "GET", "/"+bucket+"?policyStatus", nil),
	}, status: []int{200, 403}}
}

func policyManyPrincipals(x *fixture) attack {
	bucket := x.object()
	x.policy(bucket, policyRoom/9, func(n int) string {
		values := make([]string, n)
		for i := range values {
			values[i] = fmt.Sprintf(`"a%05d"`, i)
		}
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":[%s]},"Action":"*","Resource":"arn:aws:s3:::%s/*"}]}`, strings.Join(values, ","), bucket)
	})
	return attack{requests: [][]byte{x.raw("GET", "/"+bucket+"/key"), x.request(s3test.Bob, "GET", "/"+bucket+"/key", nil)}, status: []int{403}}
}

// put is a PutBucketPolicy of each text, by the bucket's owner.
func (x *fixture) put(texts ...func(bucket string) string) attack {
	bucket := x.object()
	a := attack{status: []int{200, 204, 400}}
	for _, text := range texts {
		a.requests = append(a.requests, x.request(s3test.Alice, "PUT", "/"+bucket+"?policy", []byte(text(bucket))))
	}
	return a
}

func policyStars(x *fixture) attack {
	resource := func(pattern string) func(string) string {
		return func(bucket string) string {
			return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::` + pattern + `"}]}`
		}
	}
	return x.put(resource(fill("*", policyRoom)), resource(fill("*?", policyRoom)), resource(fill("*t*e*s*t*", policyRoom)), resource(fill("${a}*", policyRoom)))
}

func policyDeep(x *fixture) attack {
	return x.put(
		func(string) string { return fill(`{"Statement":`, policyRoom) },
		func(string) string { return `{"Statement":` + fill(`[`, policyRoom) },
		func(string) string { return `{"Statement":` + strings.Repeat(`[`, 8) + fill(`[],`, policyRoom) })
}

func policyPaths(x *fixture) attack {
	name := fill("a", policyRoom/2)
	return x.put(
		func(string) string { return `{"` + name + `":[` + fill(`1,`, policyRoom/2) + `1]}` },
		func(string) string { return `{"` + name + `":[` + fill(`{"b":1},`, policyRoom/2/8*8) + `1]}` },
		func(string) string { return `{"Statement":[` + fill(`{},`, policyRoom/3*3) + `{}]}` })
}

func policyEscapes(x *fixture) attack {
	return x.put(
		func(string) string { return `{"Version":"` + fill(`\u0001`, policyRoom/6*6) + `"}` },
		func(string) string { return `{"` + fill(`\"`, policyRoom) + `":1}` },
		func(string) string { return `{"Statement":[` + fill(`"\ud83d\ude00",`, policyRoom/15*15) + `1]}` },
		func(bucket string) string {
			return statement(bucket, `"`+fill("\\u0041", policyRoom/6*6)+`":{"a":"b"}`)
		})
}

func policyPrincipals(x *fixture) attack {
	return x.put(func(bucket string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":[` + fill(`"arn:aws:iam::bob:root",`, policyRoom/24*24) + `"bob"]},"Action":"*","Resource":"arn:aws:s3:::` + bucket + `/*"}]}`
	}, func(bucket string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::bob:user/` + fill("a/", policyRoom) + `"},"Action":"*","Resource":"arn:aws:s3:::` + bucket + `/*"}]}`
	})
}
