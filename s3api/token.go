package s3api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
)

const tokenTag = 16

// sealToken makes an opaque continuation token of the position of a listing. All
// gateways know the key and clients do not: the bucket's id, or the caller's secret.
func (a *API) sealToken(key []byte, kind, position string) string {
	return base64.RawURLEncoding.EncodeToString(append(a.tokenMAC(key, kind, position), position...))
}

// openToken opens a token of sealToken with the same key and kind. InvalidArgument.
func (a *API) openToken(key []byte, kind, token string) (string, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < tokenTag || !hmac.Equal(raw[:tokenTag], a.tokenMAC(key, kind, string(raw[tokenTag:]))) {
		return "", badArgument("continuation-token", token, "The continuation token provided is incorrect")
	}
	return string(raw[tokenTag:]), nil
}

func (a *API) tokenMAC(key []byte, kind, position string) []byte {
	m := hmac.New(sha256.New, slices.Concat(key, a.options.TokenKey))
	m.Write([]byte("pithos continuation token\x00" + kind + "\x00" + position))
	return m.Sum(nil)[:tokenTag]
}
