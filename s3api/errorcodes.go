package s3api

import "net/http"

// errorCode is one row of the table of errors.
type errorCode struct {
	status  int
	message string
}

// errorCodes are S3's error codes. (Error responses, in the S3 API reference.)
var errorCodes = map[string]errorCode{
	"AccessControlListNotSupported":                  {400, "The bucket does not allow ACLs"},
	"AccessDenied":                                   {403, "Access Denied"},
	"AccessForbidden":                                {403, "CORSResponse: This CORS request is not allowed."},
	"AccountProblem":                                 {403, "There is a problem with your account that prevents the operation from completing successfully."},
	"AuthorizationHeaderMalformed":                   {400, "The authorization header that you provided is not valid."},
	"AuthorizationQueryParametersError":              {400, "The authorization query parameters that you provided are not valid."},
	"BadDigest":                                      {400, "The Content-MD5 or checksum value that you specified did not match what the server received."},
	"BadRequest":                                     {400, "Bad Request"},
	"BucketAlreadyExists":                            {409, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."},
	"BucketAlreadyOwnedByYou":                        {409, "Your previous request to create the named bucket succeeded and you already own it."},
	"BucketNotEmpty":                                 {409, "The bucket you tried to delete is not empty"},
	"ConditionalRequestConflict":                     {409, "The conditional request cannot succeed due to a conflicting operation against this resource."},
	"CredentialsNotSupported":                        {400, "This request does not support credentials."},
	"CrossLocationLoggingProhibited":                 {403, "Cross-Region logging is not allowed."},
	"EntityTooLarge":                                 {400, "Your proposed upload exceeds the maximum allowed object size."},
	"EntityTooSmall":                                 {400, "Your proposed upload is smaller than the minimum allowed size"},
	"ExpiredToken":                                   {400, "The provided token has expired."},
	"IllegalLocationConstraintException":             {400, "The specified location constraint is incompatible for the region specific endpoint this request was sent to."},
	"IllegalVersioningConfigurationException":        {400, "The versioning configuration specified in the request is invalid."},
	"IncompleteBody":                                 {400, "You did not provide the number of bytes specified by the Content-Length HTTP header"},
	"IncorrectNumberOfFilesInPostRequest":            {400, "POST requires exactly one file upload per request."},
	"InlineDataTooLarge":                             {400, "Inline data exceeds the maximum allowed size."},
	"InternalError":                                  {500, "We encountered an internal error. Please try again."},
	"InvalidAccessKeyId":                             {403, "The AWS Access Key Id you provided does not exist in our records."},
	"InvalidArgument":                                {400, "Invalid Argument"},
	"InvalidAttributeName":                           {400, "Invalid attribute name specified."},
	"InvalidBucketAclWithObjectOwnership":            {400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"},
	"InvalidBucketName":                              {400, "The specified bucket is not valid."},
	"InvalidBucketOwnerAWSAccountID":                 {400, "The value of the expected bucket owner parameter must be an AWS account ID."},
	"InvalidBucketState":                             {409, "The request is not valid with the current state of the bucket."},
	"InvalidChunkSizeError":                          {403, "Only the last chunk is allowed to have a size less than 8192 bytes"},
	"InvalidDigest":                                  {400, "The Content-MD5 you specified was invalid."},
	"InvalidEncryptionAlgorithmError":                {400, "The encryption request you specified is not valid. The valid value is AES256."},
	"InvalidLocationConstraint":                      {400, "The specified location-constraint is not valid"},
	"InvalidObjectState":                             {403, "The operation is not valid for the object's storage class"},
	"InvalidPart":                                    {400, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."},
	"InvalidPartNumber":                              {416, "The requested partnumber is not satisfiable"},
	"InvalidPartOrder":                               {400, "The list of parts was not in ascending order. Parts must be ordered by part number."},
	"InvalidPayer":                                   {403, "All access to this object has been disabled."},
	"InvalidPolicyDocument":                          {400, "The content of the form does not meet the conditions specified in the policy document."},
	"InvalidRange":                                   {416, "The requested range is not satisfiable"},
	"InvalidRedirectLocation":                        {400, "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."},
	"InvalidRequest":                                 {400, "Invalid Request"},
	"InvalidRetentionPeriod":                         {400, "The retention period must be a positive integer value."},
	"InvalidSecurity":                                {403, "The provided security credentials are not valid."},
	"InvalidStorageClass":                            {400, "The storage class you specified is not valid"},
	"InvalidTag":                                     {400, "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation."},
	"InvalidTargetBucketForLogging":                  {400, "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants for the log-delivery group."},
	"InvalidToken":                                   {400, "The provided token is malformed or otherwise invalid."},
	"InvalidURI":                                     {400, "Couldn't parse the specified URI."},
	"InvalidWriteOffset":                             {400, "The write offset value that you specified does not match the current object size."},
	"KMS.NotFoundException":                          {400, "The specified KMS key does not exist."},
	"KeyTooLongError":                                {400, "Your key is too long"},
	"MalformedACLError":                              {400, "The XML you provided was not well-formed or did not validate against our published schema"},
	"MalformedPOSTRequest":                           {400, "The body of your POST request is not well-formed multipart/form-data."},
	"MalformedPolicy":                                {400, "This policy contains invalid Json"},
	"MalformedTrailerError":                          {400, "The request contained trailing data that was not well-formed or did not conform to our published schema."},
	"MalformedXML":                                   {400, "The XML you provided was not well-formed or did not validate against our published schema"},
	"MaxMessageLengthExceeded":                       {400, "Your request was too big"},
	"MaxPostPreDataLengthExceededError":              {400, "Your POST request fields preceding the upload file were too large."},
	"MetadataTooLarge":                               {400, "Your metadata headers exceed the maximum allowed metadata size"},
	"MethodNotAllowed":                               {405, "The specified method is not allowed against this resource."},
	"MissingAttachment":                              {400, "A SOAP attachment was expected, but none was found."},
	"MissingContentLength":                           {411, "You must provide the Content-Length HTTP header."},
	"MissingRequestBodyError":                        {400, "Request body is empty."},
	"MissingSecurityHeader":                          {400, "Your request was missing a required header"},
	"NoSuchAnnotation":                               {404, "The specified annotation does not exist."},
	"NoSuchConfiguration":                            {404, "The specified configuration does not exist."},
	"MetadataConfigurationNotFound":                  {404, "The metadata configuration does not exist."},
	"NoSuchBucket":                                   {404, "The specified bucket does not exist"},
	"NoSuchBucketPolicy":                             {404, "The bucket policy does not exist"},
	"NoSuchCORSConfiguration":                        {404, "The CORS configuration does not exist"},
	"NoSuchKey":                                      {404, "The specified key does not exist."},
	"NoSuchLifecycleConfiguration":                   {404, "The lifecycle configuration does not exist"},
	"NoSuchObjectLockConfiguration":                  {404, "The specified object does not have a ObjectLock configuration"},
	"NoSuchPublicAccessBlockConfiguration":           {404, "The public access block configuration was not found"},
	"NoSuchTagSet":                                   {404, "The TagSet does not exist"},
	"NoSuchUpload":                                   {404, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	"NoSuchVersion":                                  {404, "The specified version does not exist."},
	"NoSuchWebsiteConfiguration":                     {404, "The specified bucket does not have a website configuration"},
	"NotImplemented":                                 {501, "A header you provided implies functionality that is not implemented"},
	"NotModified":                                    {304, "Not Modified"},
	"ObjectLockConfigurationNotFoundError":           {404, "Object Lock configuration does not exist for this bucket"},
	"OperationAborted":                               {409, "A conflicting conditional operation is currently in progress against this resource. Please try again."},
	"OwnershipControlsNotFoundError":                 {404, "The bucket ownership controls were not found"},
	"PermanentRedirect":                              {301, "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint."},
	"PreconditionFailed":                             {412, "At least one of the pre-conditions you specified did not hold"},
	"ReplicationConfigurationNotFoundError":          {404, "The replication configuration was not found"},
	"RequestHeaderSectionTooLarge":                   {400, "Your request header section exceeds the maximum allowed size."},
	"RequestIsNotMultiPartContent":                   {412, "Bucket POST must be of the enclosure-type multipart/form-data."},
	"RequestTimeTooSkewed":                           {403, "The difference between the request time and the current time is too large."},
	"RequestTimeout":                                 {400, "Your socket connection to the server was not read from or written to within the timeout period."},
	"RestoreAlreadyInProgress":                       {409, "Object restore is already in progress"},
	"ServerSideEncryptionConfigurationNotFoundError": {404, "The server side encryption configuration was not found"},
	"ServiceUnavailable":                             {503, "Service is unable to handle request. Please try again."},
	"SignatureDoesNotMatch":                          {403, "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
	"SlowDown":                                       {503, "Please reduce your request rate."},
	"TokenRefreshRequired":                           {400, "The provided token must be refreshed."},
	"TooManyBuckets":                                 {400, "You have attempted to create more buckets than allowed"},
	"TooManyParts":                                   {400, "You have attempted to upload more parts than allowed"},
	"UnexpectedContent":                              {400, "This request does not support content"},
	"UnresolvableGrantByEmailAddress":                {400, "The e-mail address you provided does not match any account on record."},
	"UnsupportedArgument":                            {400, "The request contained an unsupported argument."},
	"UserKeyMustBeSpecified":                         {400, "The bucket POST must contain the specified field name. If it is specified, check the order of the fields."},
	"XAmzContentChecksumMismatch":                    {400, "The provided checksum header does not match what was computed."},
	"XAmzContentSHA256Mismatch":                      {400, "The provided 'x-amz-content-sha256' header does not match what was computed."},
}

// status is the HTTP status of e.
func (e *Error) status() int {
	if e.Status != 0 {
		return e.Status
	}
	if c, ok := errorCodes[e.Code]; ok {
		return c.status
	}
	return http.StatusBadRequest
}

// message is what the user reads.
func (e *Error) message() string {
	if e.Message != "" {
		return e.Message
	}
	return errorCodes[e.Code].message
}
