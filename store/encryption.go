package store

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"slices"

	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// Types of encryption, as [meta.Encryption] records them.
const (
	SSES3  = "SSE-S3"
	SSEKMS = "SSE-KMS"
	SSEC   = "SSE-C"
)

// What a request may ask for.
const (
	AlgorithmAES256 = "AES256"
	AlgorithmKMS    = "aws:kms"
)

// Describes reports whether e asks for encryption of the type that was made,
// and with the key that it was made with, if e names one.
func (e *EncryptionRequest) Describes(made *meta.Encryption) bool {
	switch {
	case made == nil:
		return false
	case e.Type == AlgorithmKMS:
		return made.Type == SSEKMS && (e.KMSKeyID == "" || e.KMSKeyID == made.KMSKeyID)
	}
	return e.Type == AlgorithmAES256 && made.Type == SSES3
}

// sealer is how the body of one version is encrypted. A nil sealer leaves it
// as it is.
type sealer struct {
	info *meta.Encryption
	key  crypt.DataKey
}

// keyContext binds a wrapped data key to the object that it belongs to: moved
// to another row of the database, it does not open.
func keyContext(b *meta.Bucket, key string) []byte {
	return append(b.ID[:], key...)
}

// newSealer makes the data key of a new version as the request, or else the
// bucket's default, wants it.
func (s *Store) newSealer(b *meta.Bucket, key string, want EncryptionRequest) (*sealer, error) {
	if want.CustomerKey != nil {
		if err := mayEncryptWith(b, SSEC); err != nil {
			return nil, err
		}
		return customerSealer(want)
	}
	if want.Type == "" {
		config := b.Config.Encryption
		if config == nil || config.Algorithm == "" {
			return nil, nil
		}
		want.Type, want.KMSKeyID = config.Algorithm, config.KMSKeyID
		want.BucketKey = want.BucketKey || config.BucketKey
	}
	info := &meta.Encryption{Type: SSES3, FrameBytes: crypt.FrameBytes}
	wrapping := ""
	switch want.Type {
	case AlgorithmAES256:
	case AlgorithmKMS:
		info.Type, info.KMSKeyID, info.Context, info.BucketKey = SSEKMS, want.KMSKeyID, want.Context, want.BucketKey
		if info.KMSKeyID == "" {
			var err error
			if info.KMSKeyID, err = s.defaultKMSKey(); err != nil {
				return nil, err
			}
		}
		wrapping = info.KMSKeyID
	default:
		return nil, fail(s3err.InvalidArgument, "The encryption method specified is not supported")
	}
	data, wrapped, id, err := s.ring.NewDataKey(wrapping, keyContext(b, key))
	if err != nil {
		return nil, keyError(err, wrapping)
	}
	info.DataKey, info.KeyID = wrapped, id
	return &sealer{info: info, key: data}, nil
}

// mayEncryptWith refuses what makes a version that is encrypted as kind says,
// where the bucket blocks that (BlockedEncryptionTypes): new objects, appends,
// and every step of a multipart upload, also of one begun before. What is there
// already can be read, renamed and deleted.
func mayEncryptWith(b *meta.Bucket, kind string) error {
	if config := b.Config.Encryption; config != nil && slices.Contains(config.Blocked, kind) {
		return fail(s3err.AccessDenied, "Access Denied because the bucket blocks the server-side encryption type %s.", kind)
	}
	return nil
}

// mayUpload is mayEncryptWith for a version that the bytes of a request become
// part of.
func mayUpload(b *meta.Bucket, v *meta.Version) error {
	if v.Encryption == nil {
		return nil
	}
	return mayEncryptWith(b, v.Encryption.Type)
}

// managedKey is the alias of the key that S3 takes where aws:kms is asked for
// without a key.
const managedKey = "aws/s3"

// defaultKMSKey is the key of the ring that is called aws/s3, or the only one
// there is. Of several keys none is taken by guess.
func (s *Store) defaultKMSKey() (string, error) {
	switch ids := s.ring.IDs(); {
	case s.ring.Has(managedKey):
		return managedKey, nil
	case len(ids) <= 1:
		return s.ring.Active(), nil
	}
	return "", fail(s3err.InvalidArgument, "Encryption with aws:kms needs x-amz-server-side-encryption-aws-kms-key-id: none of the server's keys is called %s", managedKey)
}

func customerSealer(want EncryptionRequest) (*sealer, error) {
	customer, err := crypt.NewCustomerKey(want.CustomerKey)
	if err != nil {
		return nil, &s3err.Error{Code: s3err.InvalidArgument, Message: "The secret key was invalid for the specified algorithm.", Err: err}
	}
	info := &meta.Encryption{Type: SSEC, KeyMD5: want.CustomerKeyMD5, KeySalt: crypt.NewSalt(), FrameBytes: crypt.FrameBytes}
	key, check, err := customer.Derive(info.KeySalt)
	if err != nil {
		return nil, err
	}
	info.KeyCheck = check
	return &sealer{info: info, key: key}, nil
}

// openSealer finds the data key of what is encrypted as info says; given is
// the customer's key of the request.
func (s *Store) openSealer(b *meta.Bucket, key string, info *meta.Encryption, given EncryptionRequest) (*sealer, error) {
	switch {
	case info == nil || info.Type != SSEC:
		if given.CustomerKey != nil {
			return nil, fail(s3err.InvalidRequest, "The encryption parameters are not applicable to this object.")
		}
		if info == nil {
			return nil, nil
		}
		data, err := s.ring.Unwrap(info.KeyID, info.DataKey, keyContext(b, key))
		if err != nil {
			return nil, keyError(err, info.KeyID)
		}
		return &sealer{info: info, key: data}, nil
	case given.CustomerKey == nil:
		return nil, fail(s3err.InvalidRequest, "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.")
	}
	customer, err := crypt.NewCustomerKey(given.CustomerKey)
	if err != nil {
		return nil, &s3err.Error{Code: s3err.InvalidArgument, Message: "The secret key was invalid for the specified algorithm.", Err: err}
	}
	data, err := customer.Unlock(info.KeySalt, info.KeyCheck)
	if errors.Is(err, crypt.ErrWrongKey) {
		return nil, &s3err.Error{Code: s3err.InvalidRequest, Message: "The provided encryption parameters did not match the ones used originally.", Err: err}
	}
	if err != nil {
		return nil, err
	}
	return &sealer{info: info, key: data}, nil
}

func keyError(err error, id string) error {
	switch {
	case errors.Is(err, crypt.ErrNoMasterKey):
		return &s3err.Error{Code: s3err.InvalidRequest, Message: "This server has " + err.Error(), Err: err}
	case errors.Is(err, crypt.ErrUnknownKey):
		return &s3err.Error{Code: s3err.KMSNotFound, Message: "Key '" + id + "' does not exist", Err: err}
	}
	return err
}

// encryption returns the record of how bodies are encrypted; nil if not.
func (e *sealer) encryption() *meta.Encryption {
	if e == nil {
		return nil
	}
	return e.info
}

// writer encrypts what is written to it into w, under a salt of its own; both
// are nil and w itself where nothing is encrypted.
func (e *sealer) writer(w io.Writer) (io.WriteCloser, []byte) {
	if e == nil {
		return nopWriteCloser{w}, nil
	}
	salt := crypt.NewSalt()
	return crypt.NewWriter(w, e.key, salt, int(e.info.FrameBytes)), salt
}

// storedSize is how many bytes plain bytes take once they are encrypted.
func (e *sealer) storedSize(plain int64) int64 {
	if e == nil {
		return plain
	}
	return crypt.CipherSize(plain, int(e.info.FrameBytes))
}

// etag is the ETag of a body with this MD5. With keys that are not the
// server's alone, the MD5 of the body is nobody's business; S3 gives some
// other value too.
func (e *sealer) etag(sum []byte) string {
	if e == nil || e.info.Type == SSES3 {
		return hex.EncodeToString(sum)
	}
	h := md5.New()
	h.Write(sum)
	h.Write(e.info.KeySalt)
	h.Write(e.info.DataKey)
	return hex.EncodeToString(h.Sum(nil))
}

type nopWriteCloser struct{ io.Writer }

func (nopWriteCloser) Close() error { return nil }
