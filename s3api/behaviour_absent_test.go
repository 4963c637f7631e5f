package s3api_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/s3api"
)

// absentAnswers are AWS' answers if nothing is configured, by operation: "" is
// success with the text in says.
var absentAnswers = map[string]struct {
	status     int
	code, says string
}{
	"GetBucketLifecycleConfiguration":             {404, "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"},
	"DeleteBucketLifecycle":                       {204, "", ""},
	"GetBucketWebsite":                            {404, "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"},
	"DeleteBucketWebsite":                         {204, "", ""},
	"GetBucketReplication":                        {404, "ReplicationConfigurationNotFoundError", "The replication configuration was not found"},
	"DeleteBucketReplication":                     {204, "", ""},
	"ListBucketAnalyticsConfigurations":           {200, "", "<ListBucketAnalyticsConfigurationResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated></"},
	"ListBucketInventoryConfigurations":           {200, "", "<ListInventoryConfigurationsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated></"},
	"ListBucketMetricsConfigurations":             {200, "", "<ListMetricsConfigurationsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated></"},
	"ListBucketIntelligentTieringConfigurations":  {200, "", "<ListBucketIntelligentTieringConfigurationsOutput xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated></"},
	"GetBucketAnalyticsConfiguration":             {404, "NoSuchConfiguration", "The specified configuration does not exist."},
	"GetBucketInventoryConfiguration":             {404, "NoSuchConfiguration", ""},
	"GetBucketMetricsConfiguration":               {404, "NoSuchConfiguration", ""},
	"GetBucketIntelligentTieringConfiguration":    {404, "NoSuchConfiguration", ""},
	"DeleteBucketAnalyticsConfiguration":          {404, "NoSuchConfiguration", ""},
	"DeleteBucketInventoryConfiguration":          {404, "NoSuchConfiguration", ""},
	"DeleteBucketMetricsConfiguration":            {404, "NoSuchConfiguration", ""},
	"DeleteBucketIntelligentTieringConfiguration": {404, "NoSuchConfiguration", ""},
	"GetBucketAbac":                               {200, "", "<Status>Disabled</Status>"},
	"GetBucketMetadataConfiguration":              {404, "MetadataConfigurationNotFound", ""},
	"DeleteBucketMetadataConfiguration":           {404, "MetadataConfigurationNotFound", ""},
	"GetBucketMetadataTableConfiguration":         {404, "MetadataConfigurationNotFound", ""},
	"DeleteBucketMetadataTableConfiguration":      {404, "MetadataConfigurationNotFound", ""},
	"GetBucketNotificationConfiguration":          {200, "", "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></"},
	"GetBucketLogging":                            {200, "", "<BucketLoggingStatus xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></"},
	"GetBucketAccelerateConfiguration":            {200, "", "<AccelerateConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></"},
	"ListObjectAnnotations":                       {200, "", "<AnnotationCount>0</AnnotationCount>"},
	"GetObjectAnnotation":                         {404, "NoSuchAnnotation", ""},
}

func TestAbsentConfigurationsAreAnsweredAsOnAWS(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		seen := 0
		for _, op := range s3api.Operations() {
			want, listed := absentAnswers[op.Name]
			if listed != op.Absent {
				x.Errorf("%s is absent: %v, the test has an answer for it: %v", op.Name, op.Absent, listed)
			}
			if !op.Absent {
				continue
			}
			seen++
			ask := func(key s3test.Key, bucket, object string) *reply {
				x.Helper()
				target := "/" + bucket
				if op.Scope == s3api.ScopeObject {
					target += "/" + object
				}
				for i, q := range op.Query {
					target += string("?&"[min(i, 1)]) + q.Name
					if q.Name == "id" || q.Name == "annotationName" {
						target += "=one"
					}
				}
				return x.as(key, op.Method, target, "")
			}
			ask(s3test.Alice, x.bucket, "k").want(want.status, want.code).says(want.says)
			ask(s3test.Alice, "no-such-bucket-anywhere", "k").want(404, "NoSuchBucket")
			ask(s3test.Bob, x.bucket, "k").want(403, "AccessDenied")
			ask(s3test.Key{}, x.bucket, "k").want(403, "AccessDenied")
			if op.Scope == s3api.ScopeObject {
				ask(s3test.Alice, x.bucket, "no").want(404, "NoSuchKey")
			}
		}
		if seen != len(absentAnswers) {
			x.Errorf("%d operations are absent, want %d", seen, len(absentAnswers))
		}
		for _, sub := range []string{"analytics", "inventory", "metrics", "intelligent-tiering"} {
			x.raw("GET", "?"+sub+"&continuation-token=x", "").want(400, "InvalidArgument")
		}
		x.raw("GET", "/k?annotation&continuation-token=x", "").want(400, "InvalidArgument")
		for _, bad := range []string{"", "0", "1001", "x", "-1"} {
			x.raw("GET", "/k?annotation&max-annotation-results="+bad, "").want(400, "InvalidArgument")
		}
		x.raw("GET", "/k?annotation&max-annotation-results=7&annotation-prefix=%3Ca%3E", "").want(200, "").
			says("<AnnotationPrefix>&lt;a&gt;</AnnotationPrefix><MaxAnnotationResults>7</MaxAnnotationResults>")
		x.versioning(types.BucketVersioningStatusEnabled)
		id := *x.put("k", "body").VersionId
		x.raw("GET", "/k?annotation&versionId="+id, "").want(200, "").has("X-Amz-Object-Version-Id", id)
		x.deleteKey("k")
		x.raw("GET", "/k?annotation", "").want(404, "NoSuchKey")
	})
}

// Operations that would configure a feature answer 501.
func TestAbsentFeaturesCannotBeConfigured(t *testing.T) {
	selector := func(op *s3api.Operation) string { return op.Query[0].Name }
	absent := map[string]bool{}
	ops := s3api.Operations()
	for i := range ops {
		if ops[i].Absent {
			absent[selector(&ops[i])] = true
		}
	}
	for i := range ops {
		op := &ops[i]
		if op.Handler != nil && !op.Absent && len(op.Query) > 0 && absent[selector(op)] && op.Method != http.MethodOptions {
			t.Errorf("%s is there, and others of ?%s say that nothing is set", op.Name, selector(op))
		}
	}
}

// Every Get and List of a bucket's or an object's settings is answered with success
// or with a 404 whose code names the absent setting, as the SDK decodes it.
func TestEveryQuestionAboutSettingsIsAnswered(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		client, fields := reflect.ValueOf(x.c), map[string]string{"Bucket": x.bucket, "Key": "k", "Id": "one", "AnnotationName": "one"}
		asked := 0
		for i := range client.NumMethod() {
			name := client.Type().Method(i).Name
			m := client.Method(i).Type()
			if !strings.HasPrefix(name, "GetBucket") && !strings.HasPrefix(name, "ListBucket") && !strings.Contains(name, "Annotation") && name != "GetPublicAccessBlock" && name != "GetObjectLockConfiguration" ||
				strings.HasPrefix(name, "Put") || strings.HasPrefix(name, "Delete") || strings.HasPrefix(name, "Update") || m.NumIn() != 3 || m.In(1).Kind() != reflect.Pointer {
				continue
			}
			in := reflect.New(m.In(1).Elem())
			for field, value := range fields {
				if f := in.Elem().FieldByName(field); f.IsValid() {
					f.Set(reflect.ValueOf(&value))
				}
			}
			out := client.Method(i).Call([]reflect.Value{reflect.ValueOf(x.Context()), in})
			asked++
			err, _ := out[1].Interface().(error)
			var api smithy.APIError
			switch {
			case err == nil:
			case !errors.As(err, &api):
				x.Errorf("%s: %v", name, err)
			case !strings.HasPrefix(api.ErrorCode(), "NoSuch") && !strings.Contains(api.ErrorCode(), "NotFound"):
				x.Errorf("%s: %v", name, err)
			}
		}
		if asked < 25 {
			x.Errorf("only %d operations were asked", asked)
		}
		abac, err := x.c.GetBucketAbac(x.Context(), &s3.GetBucketAbacInput{Bucket: &x.bucket})
		if err != nil || abac.AbacStatus == nil || abac.AbacStatus.Status != types.BucketAbacStatusDisabled {
			x.Errorf("GetBucketAbac: %+v %v", abac, err)
		}
	})
}
