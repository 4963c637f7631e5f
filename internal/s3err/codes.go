package s3err

import (
	"maps"
	"slices"
)

// Code is one of S3's error codes. (Error responses, in the S3 API reference.)
type Code string

// The codes that Pithos returns, and some that only AWS does.
const (
	AccessControlListNotSupported                  Code = "AccessControlListNotSupported"
	AccessDenied                                   Code = "AccessDenied"
	AccessForbidden                                Code = "AccessForbidden"
	AccountProblem                                 Code = "AccountProblem"
	AuthorizationHeaderMalformed                   Code = "AuthorizationHeaderMalformed"
	AuthorizationQueryParametersError              Code = "AuthorizationQueryParametersError"
	BadDigest                                      Code = "BadDigest"
	BadRequest                                     Code = "BadRequest"
	BucketAlreadyExists                            Code = "BucketAlreadyExists"
	BucketAlreadyOwnedByYou                        Code = "BucketAlreadyOwnedByYou"
	BucketNotEmpty                                 Code = "BucketNotEmpty"
	ConditionalRequestConflict                     Code = "ConditionalRequestConflict"
	CredentialsNotSupported                        Code = "CredentialsNotSupported"
	CrossLocationLoggingProhibited                 Code = "CrossLocationLoggingProhibited"
	EntityTooLarge                                 Code = "EntityTooLarge"
	EntityTooSmall                                 Code = "EntityTooSmall"
	ExpiredToken                                   Code = "ExpiredToken"
	IllegalLocationConstraintException             Code = "IllegalLocationConstraintException"
	IllegalVersioningConfigurationException        Code = "IllegalVersioningConfigurationException"
	IncompleteBody                                 Code = "IncompleteBody"
	IncorrectNumberOfFilesInPostRequest            Code = "IncorrectNumberOfFilesInPostRequest"
	InlineDataTooLarge                             Code = "InlineDataTooLarge"
	InternalError                                  Code = "InternalError"
	InvalidAccessKeyID                             Code = "InvalidAccessKeyId"
	InvalidArgument                                Code = "InvalidArgument"
	InvalidAttributeName                           Code = "InvalidAttributeName"
	InvalidBucketAclWithObjectOwnership            Code = "InvalidBucketAclWithObjectOwnership"
	InvalidBucketName                              Code = "InvalidBucketName"
	InvalidBucketOwnerAWSAccountID                 Code = "InvalidBucketOwnerAWSAccountID"
	InvalidBucketState                             Code = "InvalidBucketState"
	InvalidChunkSizeError                          Code = "InvalidChunkSizeError"
	InvalidDigest                                  Code = "InvalidDigest"
	InvalidEncryptionAlgorithmError                Code = "InvalidEncryptionAlgorithmError"
	InvalidLocationConstraint                      Code = "InvalidLocationConstraint"
	InvalidObjectState                             Code = "InvalidObjectState"
	InvalidPart                                    Code = "InvalidPart"
	InvalidPartNumber                              Code = "InvalidPartNumber"
	InvalidPartOrder                               Code = "InvalidPartOrder"
	InvalidPayer                                   Code = "InvalidPayer"
	InvalidPolicyDocument                          Code = "InvalidPolicyDocument"
	InvalidRange                                   Code = "InvalidRange"
	InvalidRedirectLocation                        Code = "InvalidRedirectLocation"
	InvalidRequest                                 Code = "InvalidRequest"
	InvalidRetentionPeriod                         Code = "InvalidRetentionPeriod"
	InvalidSecurity                                Code = "InvalidSecurity"
	InvalidStorageClass                            Code = "InvalidStorageClass"
	InvalidTag                                     Code = "InvalidTag"
	InvalidTargetBucketForLogging                  Code = "InvalidTargetBucketForLogging"
	InvalidToken                                   Code = "InvalidToken"
	InvalidURI                                     Code = "InvalidURI"
	InvalidWriteOffset                             Code = "InvalidWriteOffset"
	KeyTooLongError                                Code = "KeyTooLongError"
	KMSNotFound                                    Code = "KMS.NotFoundException"
	MalformedACLError                              Code = "MalformedACLError"
	MalformedPolicy                                Code = "MalformedPolicy"
	MalformedPOSTRequest                           Code = "MalformedPOSTRequest"
	MalformedTrailerError                          Code = "MalformedTrailerError"
	MalformedXML                                   Code = "MalformedXML"
	MaxMessageLengthExceeded                       Code = "MaxMessageLengthExceeded"
	MaxPostPreDataLengthExceededError              Code = "MaxPostPreDataLengthExceededError"
	MetadataConfigurationNotFound                  Code = "MetadataConfigurationNotFound"
	MetadataTooLarge                               Code = "MetadataTooLarge"
	MethodNotAllowed                               Code = "MethodNotAllowed"
	MissingAttachment                              Code = "MissingAttachment"
	MissingContentLength                           Code = "MissingContentLength"
	MissingRequestBodyError                        Code = "MissingRequestBodyError"
	MissingSecurityHeader                          Code = "MissingSecurityHeader"
	NoSuchAnnotation                               Code = "NoSuchAnnotation"
	NoSuchBucket                                   Code = "NoSuchBucket"
	NoSuchBucketPolicy                             Code = "NoSuchBucketPolicy"
	NoSuchConfiguration                            Code = "NoSuchConfiguration"
	NoSuchCORSConfiguration                        Code = "NoSuchCORSConfiguration"
	NoSuchKey                                      Code = "NoSuchKey"
	NoSuchLifecycleConfiguration                   Code = "NoSuchLifecycleConfiguration"
	NoSuchObjectLockConfiguration                  Code = "NoSuchObjectLockConfiguration"
	NoSuchPublicAccessBlockConfiguration           Code = "NoSuchPublicAccessBlockConfiguration"
	NoSuchTagSet                                   Code = "NoSuchTagSet"
	NoSuchUpload                                   Code = "NoSuchUpload"
	NoSuchVersion                                  Code = "NoSuchVersion"
	NoSuchWebsiteConfiguration                     Code = "NoSuchWebsiteConfiguration"
	NotImplemented                                 Code = "NotImplemented"
	NotModified                                    Code = "NotModified"
	ObjectLockConfigurationNotFoundError           Code = "ObjectLockConfigurationNotFoundError"
	OperationAborted                               Code = "OperationAborted"
	OwnershipControlsNotFoundError                 Code = "OwnershipControlsNotFoundError"
	PermanentRedirect                              Code = "PermanentRedirect"
	PreconditionFailed                             Code = "PreconditionFailed"
	ReplicationConfigurationNotFoundError          Code = "ReplicationConfigurationNotFoundError"
	RequestHeaderSectionTooLarge                   Code = "RequestHeaderSectionTooLarge"
	RequestIsNotMultiPartContent                   Code = "RequestIsNotMultiPartContent"
	RequestTimeout                                 Code = "RequestTimeout"
	RequestTimeTooSkewed                           Code = "RequestTimeTooSkewed"
	RestoreAlreadyInProgress                       Code = "RestoreAlreadyInProgress"
	ServerSideEncryptionConfigurationNotFoundError Code = "ServerSideEncryptionConfigurationNotFoundError"
	ServiceUnavailable                             Code = "ServiceUnavailable"
	SignatureDoesNotMatch                          Code = "SignatureDoesNotMatch"
	SlowDown                                       Code = "SlowDown"
	TokenRefreshRequired                           Code = "TokenRefreshRequired"
	TooManyBuckets                                 Code = "TooManyBuckets"
	TooManyParts                                   Code = "TooManyParts"
	UnexpectedContent                              Code = "UnexpectedContent"
	UnresolvableGrantByEmailAddress                Code = "UnresolvableGrantByEmailAddress"
	UnsupportedArgument                            Code = "UnsupportedArgument"
	UserKeyMustBeSpecified                         Code = "UserKeyMustBeSpecified"
	XAmzContentChecksumMismatch                    Code = "XAmzContentChecksumMismatch"
	XAmzContentSHA256Mismatch                      Code = "XAmzContentSHA256Mismatch"
)

// messages are the default messages of the codes: AWS' own where AWS has one.
var messages = map[Code]string{
	AccessControlListNotSupported:                  "The bucket does not allow ACLs",
	AccessDenied:                                   "Access Denied",
	AccessForbidden:                                "CORSResponse: This CORS request is not allowed.",
	AccountProblem:                                 "There is a problem with your account that prevents the operation from completing successfully.",
	AuthorizationHeaderMalformed:                   "The authorization header that you provided is not valid.",
	AuthorizationQueryParametersError:              "The authorization query parameters that you provided are not valid.",
	BadDigest:                                      "The Content-MD5 or checksum value that you specified did not match what the server received.",
	BadRequest:                                     "Bad Request",
	BucketAlreadyExists:                            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.",
	BucketAlreadyOwnedByYou:                        "Your previous request to create the named bucket succeeded and you already own it.",
	BucketNotEmpty:                                 "The bucket you tried to delete is not empty",
	ConditionalRequestConflict:                     "The conditional request cannot succeed due to a conflicting operation against this resource.",
	CredentialsNotSupported:                        "This request does not support credentials.",
	CrossLocationLoggingProhibited:                 "Cross-Region logging is not allowed.",
	EntityTooLarge:                                 "Your proposed upload exceeds the maximum allowed object size.",
	EntityTooSmall:                                 "Your proposed upload is smaller than the minimum allowed size",
	ExpiredToken:                                   "The provided token has expired.",
	IllegalLocationConstraintException:             "The specified location constraint is incompatible for the region specific endpoint this request was sent to.",
	IllegalVersioningConfigurationException:        "The versioning configuration specified in the request is invalid.",
	IncompleteBody:                                 "You did not provide the number of bytes specified by the Content-Length HTTP header",
	IncorrectNumberOfFilesInPostRequest:            "POST requires exactly one file upload per request.",
	InlineDataTooLarge:                             "Inline data exceeds the maximum allowed size.",
	InternalError:                                  "We encountered an internal error. Please try again.",
	InvalidAccessKeyID:                             "The AWS Access Key Id you provided does not exist in our records.",
	InvalidArgument:                                "Invalid Argument",
	InvalidAttributeName:                           "Invalid attribute name specified.",
	InvalidBucketAclWithObjectOwnership:            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
	InvalidBucketName:                              "The specified bucket is not valid.",
	InvalidBucketOwnerAWSAccountID:                 "The value of the expected bucket owner parameter must be an AWS account ID.",
	InvalidBucketState:                             "The request is not valid with the current state of the bucket.",
	InvalidChunkSizeError:                          "Only the last chunk is allowed to have a size less than 8192 bytes",
	InvalidDigest:                                  "The Content-MD5 you specified was invalid.",
	InvalidEncryptionAlgorithmError:                "The encryption request you specified is not valid. The valid value is AES256.",
	InvalidLocationConstraint:                      "The specified location-constraint is not valid",
	InvalidObjectState:                             "The operation is not valid for the object's storage class",
	InvalidPart:                                    "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
	InvalidPartNumber:                              "The requested partnumber is not satisfiable",
	InvalidPartOrder:                               "The list of parts was not in ascending order. Parts must be ordered by part number.",
	InvalidPayer:                                   "All access to this object has been disabled.",
	InvalidPolicyDocument:                          "The content of the form does not meet the conditions specified in the policy document.",
	InvalidRange:                                   "The requested range is not satisfiable",
	InvalidRedirectLocation:                        "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
	InvalidRequest:                                 "Invalid Request",
	InvalidRetentionPeriod:                         "The retention period must be a positive integer value.",
	InvalidSecurity:                                "The provided security credentials are not valid.",
	InvalidStorageClass:                            "The storage class you specified is not valid",
	InvalidTag:                                     "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation.",
	InvalidTargetBucketForLogging:                  "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants for the log-delivery group.",
	InvalidToken:                                   "The provided token is malformed or otherwise invalid.",
	InvalidURI:                                     "Couldn't parse the specified URI.",
	InvalidWriteOffset:                             "The write offset value that you specified does not match the current object size.",
	KeyTooLongError:                                "Your key is too long",
	KMSNotFound:                                    "The specified KMS key does not exist.",
	MalformedACLError:                              "The XML you provided was not well-formed or did not validate against our published schema",
	MalformedPolicy:                                "This policy contains invalid Json",
	MalformedPOSTRequest:                           "The body of your POST request is not well-formed multipart/form-data.",
	MalformedTrailerError:                          "The request contained trailing data that was not well-formed or did not conform to our published schema.",
	MalformedXML:                                   "The XML you provided was not well-formed or did not validate against our published schema",
	MaxMessageLengthExceeded:                       "Your request was too big",
	MaxPostPreDataLengthExceededError:              "Your POST request fields preceding the upload file were too large.",
	MetadataConfigurationNotFound:                  "The metadata configuration does not exist.",
	MetadataTooLarge:                               "Your metadata headers exceed the maximum allowed metadata size",
	MethodNotAllowed:                               "The specified method is not allowed against this resource.",
	MissingAttachment:                              "A SOAP attachment was expected, but none was found.",
	MissingContentLength:                           "You must provide the Content-Length HTTP header.",
	MissingRequestBodyError:                        "Request body is empty.",
	MissingSecurityHeader:                          "Your request was missing a required header",
	NoSuchAnnotation:                               "The specified annotation does not exist.",
	NoSuchBucket:                                   "The specified bucket does not exist",
	NoSuchBucketPolicy:                             "The bucket policy does not exist",
	NoSuchConfiguration:                            "The specified configuration does not exist.",
	NoSuchCORSConfiguration:                        "The CORS configuration does not exist",
	NoSuchKey:                                      "The specified key does not exist.",
	NoSuchLifecycleConfiguration:                   "The lifecycle configuration does not exist",
	NoSuchObjectLockConfiguration:                  "The specified object does not have a ObjectLock configuration",
	NoSuchPublicAccessBlockConfiguration:           "The public access block configuration was not found",
	NoSuchTagSet:                                   "The TagSet does not exist",
	NoSuchUpload:                                   "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
	NoSuchVersion:                                  "The specified version does not exist.",
	NoSuchWebsiteConfiguration:                     "The specified bucket does not have a website configuration",
	NotImplemented:                                 "A header you provided implies functionality that is not implemented",
	NotModified:                                    "Not Modified",
	ObjectLockConfigurationNotFoundError:           "Object Lock configuration does not exist for this bucket",
	OperationAborted:                               "A conflicting conditional operation is currently in progress against this resource. Please try again.",
	OwnershipControlsNotFoundError:                 "The bucket ownership controls were not found",
	PermanentRedirect:                              "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.",
	PreconditionFailed:                             "At least one of the pre-conditions you specified did not hold",
	ReplicationConfigurationNotFoundError:          "The replication configuration was not found",
	RequestHeaderSectionTooLarge:                   "Your request header section exceeds the maximum allowed size.",
	RequestIsNotMultiPartContent:                   "Bucket POST must be of the enclosure-type multipart/form-data.",
	RequestTimeout:                                 "Your socket connection to the server was not read from or written to within the timeout period.",
	RequestTimeTooSkewed:                           "The difference between the request time and the current time is too large.",
	RestoreAlreadyInProgress:                       "Object restore is already in progress",
	ServerSideEncryptionConfigurationNotFoundError: "The server side encryption configuration was not found",
	ServiceUnavailable:                             "Service is unable to handle request. Please try again.",
	SignatureDoesNotMatch:                          "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
	SlowDown:                                       "Please reduce your request rate.",
	TokenRefreshRequired:                           "The provided token must be refreshed.",
	TooManyBuckets:                                 "You have attempted to create more buckets than allowed",
	TooManyParts:                                   "You have attempted to upload more parts than allowed",
	UnexpectedContent:                              "This request does not support content",
	UnresolvableGrantByEmailAddress:                "The e-mail address you provided does not match any account on record.",
	UnsupportedArgument:                            "The request contained an unsupported argument.",
	UserKeyMustBeSpecified:                         "The bucket POST must contain the specified field name. If it is specified, check the order of the fields.",
	XAmzContentChecksumMismatch:                    "The provided checksum header does not match what was computed.",
	XAmzContentSHA256Mismatch:                      "The provided 'x-amz-content-sha256' header does not match what was computed.",
}

// Message is the default message of c.
func (c Code) Message() string { return messages[c] }

// Codes returns all codes, sorted.
func Codes() []Code { return slices.Sorted(maps.Keys(messages)) }
