package s3api

// RequestHeaders is the table of request headers, for tests over HTTP.
var RequestHeaders = requestHeaders
