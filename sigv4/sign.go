package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"time"
)

const (
	// Algorithm is the name of the only supported signing algorithm.
	Algorithm = "AWS4-HMAC-SHA256"
	// TimeFormat is the ISO 8601 basic form of X-Amz-Date, always UTC.
	TimeFormat = "20060102T150405Z"

	algorithmECDSA = "AWS4-ECDSA-P256-SHA256"
	dateFormat     = "20060102"
	terminal       = "aws4_request"
	emptySHA256    = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// Scope is the credential scope of a signing key.
type Scope struct {
	Date    string // YYYYMMDD, UTC
	Region  string
	Service string
}

// String returns the scope as it is signed: date/region/service/aws4_request.
func (s Scope) String() string {
	return s.Date + "/" + s.Region + "/" + s.Service + "/" + terminal
}

// SigningKey derives the signing key for one day (YYYYMMDD), region and service. It
// must be kept as secret as the secret itself.
func SigningKey(secret, date, region, service string) []byte {
	key := hmacSHA256([]byte("AWS4"+secret), date)
	key = hmacSHA256(key, region)
	key = hmacSHA256(key, service)
	return hmacSHA256(key, terminal)
}

// SignString signs a string to sign, or the base64 of a POST policy, and
// returns the signature in lower-case hex.
func SignString(signingKey []byte, s string) string {
	return hex.EncodeToString(hmacSHA256(signingKey, s))
}

// Equal compares two signatures in constant time.
func Equal(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

func hmacSHA256(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

func hexSHA256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// stringToSign returns the string to sign of a request; the strings of chunks and
// trailers are in chunked.go.
func stringToSign(t time.Time, scope, canonicalRequest string) string {
	return strings.Join([]string{Algorithm, t.UTC().Format(TimeFormat), scope, hexSHA256(canonicalRequest)}, "\n")
}
