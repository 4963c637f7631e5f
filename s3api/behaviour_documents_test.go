package s3api_test

import (
	"strings"
	"testing"
)

// Editors on Windows and .NET clients begin a document with a byte order mark.
func TestDocumentsMayBeginWithAByteOrderMark(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		const mark = "\ufeff"
		x.raw("PUT", "?versioning", mark+"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>").want(200, "")
		x.put("k", "body")
		x.put(mark+"k", "body")
		x.raw("PUT", "/k?tagging", mark+`<?xml version="1.0" encoding="UTF-8"?>`+"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>").want(200, "")
		x.raw("GET", "/k?tagging", "").want(200, "").says("<Value>b</Value>")
		x.raw("PUT", "/k?tagging", mark).want(400, "MalformedXML")
		x.raw("PUT", "/k?tagging", mark+mark+"<Tagging><TagSet></TagSet></Tagging>").want(400, "MalformedXML")
		up := x.upload("parts")
		etag := x.raw("PUT", "/parts?partNumber=1&uploadId="+up, "body").want(200, "").header("Etag")
		x.raw("POST", "/parts?uploadId="+up, mark+document(1, etag)).want(200, "")
		doc := mark + "<Delete><Object><Key>" + mark + "k</Key></Object></Delete>"
		if r := x.raw("POST", "?delete", doc, "Content-Md5", md5Of(doc)).want(200, ""); !strings.Contains(r.body, "<Key>"+mark+"k</Key>") {
			x.Errorf("DeleteObjects answers %s", r.body)
		}
		x.raw("HEAD", "/k", "").want(200, "") // it is another key
	})
}
