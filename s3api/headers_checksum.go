package s3api

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// checksumBytes are the lengths of S3's additional checksums.
var checksumBytes = store.Checksums()

const checksumPrefix = "X-Amz-Checksum-"

// checksumHeader is the header that carries a checksum.
func checksumHeader(algorithm string) string {
	return http.CanonicalHeaderKey(checksumPrefix + strings.ToLower(algorithm))
}

// declaredChecksum returns the one x-amz-checksum-* header of a request. Its value
// is not checked yet.
func declaredChecksum(h http.Header) (algorithm, value string, err error) {
	for header, values := range h {
		name, ok := strings.CutPrefix(header, checksumPrefix)
		if !ok || name == "Algorithm" || name == "Type" || name == "Mode" {
			continue
		}
		name = strings.ToUpper(name)
		if checksumBytes[name] == 0 {
			return "", "", failf(s3err.InvalidRequest, "The algorithm type you specified in x-amz-checksum- header is invalid.").With("Header", strings.ToLower(header))
		}
		if algorithm != "" || len(values) > 1 {
			return "", "", manyChecksums()
		}
		algorithm, value = name, h.Get(header)
	}
	return algorithm, value, nil
}

func manyChecksums() *s3err.Error {
	return failf(s3err.InvalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
}

// checkSum checks the form of a checksum's value: base64 of the right length.
func checkSum(algorithm, value string) error {
	switch {
	case value == "":
		return failf(s3err.InvalidRequest, "Value for x-amz-checksum-%s header is invalid.", strings.ToLower(algorithm)).WithHint("it is empty")
	case !validSum(algorithm, value):
		return failf(s3err.BadDigest, "The %s you specified did not match the calculated checksum.", algorithm).
			WithHint("the value must be the base64 of %d bytes", checksumBytes[algorithm])
	}
	return nil
}

func validSum(algorithm, value string) bool {
	raw, err := base64.StdEncoding.DecodeString(value)
	return err == nil && len(raw) == checksumBytes[algorithm]
}

// bodyChecksum returns which checksum a body has, in the header or the trailer.
func bodyChecksum(r *Request) (store.ChecksumRequest, error) {
	var c store.ChecksumRequest
	algorithm, value, err := declaredChecksum(r.Header)
	if err != nil {
		return c, err
	}
	trailer := trailerChecksum(r.Header)
	named := strings.ToUpper(r.Header.Get("X-Amz-Sdk-Checksum-Algorithm"))
	if named != "" && checksumBytes[named] == 0 {
		return c, failf(s3err.InvalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	switch {
	case algorithm != "" && trailer != "":
		return c, manyChecksums()
	case algorithm != "":
		if err := checkSum(algorithm, value); err != nil {
			return c, err
		}
		c.Algorithm, c.Expected = algorithm, func() (string, error) { return value, nil }
	case trailer != "":
		c.Algorithm, c.Expected = trailer, func() (string, error) { return trailing(r, trailer) }
	case named != "":
		return c, failf(s3err.InvalidRequest, "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	}
	if named != "" && named != c.Algorithm {
		return c, failf(s3err.InvalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	return c, nil
}

// trailerChecksum returns the checksum algorithm that x-amz-trailer announces; "" if
// none.
func trailerChecksum(h http.Header) string {
	for _, v := range h.Values("X-Amz-Trailer") {
		for name := range strings.SplitSeq(v, ",") {
			algorithm, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(name)), "x-amz-checksum-")
			if ok && checksumBytes[strings.ToUpper(algorithm)] != 0 {
				return strings.ToUpper(algorithm)
			}
		}
	}
	return ""
}

// trailing returns the checksum of the trailer.
func trailing(r *Request, algorithm string) (string, error) {
	if r.Trailer == nil {
		return "", failf(s3err.InvalidRequest, "The trailer that x-amz-trailer announces needs an aws-chunked body")
	}
	value := r.Trailer().Get(checksumHeader(algorithm))
	if value == "" {
		return "", failf(s3err.InvalidRequest, "The announced trailer x-amz-checksum-%s did not come", strings.ToLower(algorithm))
	}
	return value, checkSum(algorithm, value)
}

// wantedChecksum parses which checksum an operation without a body is to compute,
// or to expect of parts.
func wantedChecksum(h http.Header) (store.ChecksumRequest, error) {
	c := store.ChecksumRequest{Algorithm: strings.ToUpper(h.Get("X-Amz-Checksum-Algorithm")), Type: strings.ToUpper(h.Get("X-Amz-Checksum-Type"))}
	if c.Algorithm != "" && checksumBytes[c.Algorithm] == 0 {
		return c, failf(s3err.InvalidRequest, "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, MD5, SHA1, SHA256, SHA512, XXHASH128, XXHASH3, XXHASH64]")
	}
	return c, nil
}

// writeChecksum sets the headers of a checksum and its type.
func writeChecksum(h http.Header, c *meta.Checksum) {
	if c == nil {
		return
	}
	h.Set(checksumHeader(c.Algorithm), c.Value)
	h.Set("X-Amz-Checksum-Type", c.Type)
}
