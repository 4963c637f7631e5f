package s3api_test

import (
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
)

// Without configured regions, a client with any region can create its bucket, and
// gets that region as its location.
func TestAnyLocationConstraintIsRememberedWhereNoRegionsAreConfigured(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		create := func(bucket, constraint string) *reply {
			x.Helper()
			doc := "<CreateBucketConfiguration><LocationConstraint>" + html.EscapeString(constraint) + "</LocationConstraint></CreateBucketConfiguration>"
			return x.as(s3test.Alice, "PUT", "/"+bucket, doc)
		}
		first := x.bucket
		for i, region := range []string{"eu-central-1", "us-west-2", "EU", "moon", "my_region-1", strings.Repeat("r", 63), "us-east-1"} {
			x.bucket = fmt.Sprintf("%s-%d", first, i)
			create(x.bucket, region).want(200, "")
			x.Cleanup(func() { x.s.Remove(x.T, fmt.Sprintf("%s-%d", first, i)) })
			x.raw("GET", "?location", "").want(200, "").says(">" + region + "</LocationConstraint>")
			x.raw("HEAD", "", "").want(200, "").has("X-Amz-Bucket-Region", region)
			list := x.as(s3test.Alice, "GET", "/?bucket-region="+url.QueryEscape(region)+"&prefix="+x.bucket, "").want(200, "")
			list.says("<Name>" + x.bucket + "</Name>").says("<BucketRegion>" + region + "</BucketRegion>")
			x.raw("PUT", "/k", "body").want(200, "")
			assert.Equal(x, "object", x.get("k"), "body")
			again := create(x.bucket, region)
			if other := create(x.bucket, "elsewhere"); again.resp.StatusCode != 200 && again.Code != "BucketAlreadyOwnedByYou" || other.Code != "BucketAlreadyOwnedByYou" {
				x.Errorf("%s again: %d %s; elsewhere: %d %s", region, again.resp.StatusCode, again.Code, other.resp.StatusCode, other.Code)
			}
		}
		x.bucket = first
		for _, bad := range []string{strings.Repeat("r", 64), strings.Repeat("r", 16_000), "a b", "../x", "<x>", "é", "-a", "_", "a\u2028b", "a\nb", "a.b", "a/b", "%41"} {
			create(first+"-bad", bad).want(400, "InvalidLocationConstraint")
		}
		create(first+"-bad", "a\x00b").want(400, "MalformedXML")
	})
}
