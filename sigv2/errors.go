package sigv2

// Messages are those of AWS, if AWS has one.
const (
	messageHeaderInvalid    = "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature"
	messageMissingQueryAuth = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
	messageNoDate           = "AWS authentication requires a valid Date or x-amz-date header"
	messageOneMechanism     = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"
)
