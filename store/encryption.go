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

// Algorithms that a request can ask for.
const (
	AlgorithmAES256 = "AES256"
	AlgorithmKMS    = "aws:kms"
)

// Describes reports whether e asks for the type of encryption that made has, and,
// if e names a key, for made's key.
func (e *EncryptionRequest) Describes(made *meta.Encryption) bool {
	switch {
	case made == nil:
		return false
	case e.Type == AlgorithmKMS:
		return made.Type == SSEKMS && (e.KMSKeyID == "" || e.KMSKeyID == made.KMSKeyID)
	}
	return e.Type == AlgorithmAES256 && made.Type == SSES3
}

// sealer encrypts the body of one version. A nil sealer does not encrypt.
type sealer struct {
	info *meta.Encryption
	key  crypt.DataKey
}

// keyContext binds a wrapped data key to its object: in another row of the
// database it cannot be unwrapped.
func keyContext(b *meta.Bucket, key string) []byte {
	return append(b.ID[:], key...)
}

// newSealer makes the data key of a new version. The request decides how, and
// otherwise the bucket's default. AccessDenied (encryption type blocked),
// InvalidArgument, InvalidRequest (no master key), KMS.NotFoundException.
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

// mayEncryptWith returns AccessDenied if the bucket blocks an encryption type
// (BlockedEncryptionTypes). That applies to new objects, appends, and every step of
// a multipart upload, also of one that was created before. Existing objects can be
// read, renamed and deleted.
func mayEncryptWith(b *meta.Bucket, kind string) error {
	if config := b.Config.Encryption; config != nil && slices.Contains(config.Blocked, kind) {
		return fail(s3err.AccessDenied, "Access Denied because the bucket blocks the server-side encryption type %s.", kind)
	}
	return nil
}

// mayUpload is mayEncryptWith for the version that the body of a request becomes
// part of.
func mayUpload(b *meta.Bucket, v *meta.Version) error {
	if v.Encryption == nil {
		return nil
	}
	return mayEncryptWith(b, v.Encryption.Type)
}

// managedKey is the alias of the key that S3 uses for aws:kms without a key id.
const managedKey = "aws/s3"

// defaultKMSKey returns the key of the ring with the name aws/s3, or the only key.
// InvalidArgument if there are several and none has that name.
func (s *Store) defaultKMSKey() (string, error) {
	switch ids := s.ring.IDs(); {
	case s.ring.Has(managedKey):
		return managedKey, nil
	case len(ids) <= 1:
		return s.ring.Active(), nil
	}
	return "", fail(s3err.InvalidArgument, "Encryption with aws:kms needs x-amz-server-side-encryption-aws-kms-key-id: none of the server's keys is called %s", managedKey)
}

// customerSealer makes the data key of a new version from the customer's key.
// InvalidArgument.
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

// openSealer opens the data key of a version or upload that is encrypted as info
// says. given has the customer's key of the request. InvalidRequest,
// InvalidArgument, KMS.NotFoundException.
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

// keyError is the error of a master key that is missing: InvalidRequest if there is
// none at all, else KMS.NotFoundException.
func keyError(err error, id string) error {
	switch {
	case errors.Is(err, crypt.ErrNoMasterKey):
		return &s3err.Error{Code: s3err.InvalidRequest, Message: "This server has " + err.Error(), Err: err}
	case errors.Is(err, crypt.ErrUnknownKey):
		return &s3err.Error{Code: s3err.KMSNotFound, Message: "Key '" + id + "' does not exist", Err: err}
	}
	return err
}

// encryption returns what the version records of its encryption; nil without
// encryption.
func (e *sealer) encryption() *meta.Encryption {
	if e == nil {
		return nil
	}
	return e.info
}

// writer returns a writer that encrypts into w, and the salt that it uses. Without
// encryption that is w itself, and no salt.
func (e *sealer) writer(w io.Writer) (io.WriteCloser, []byte) {
	if e == nil {
		return nopWriteCloser{w}, nil
	}
	salt := crypt.NewSalt()
	return crypt.NewWriter(w, e.key, salt, int(e.info.FrameBytes)), salt
}

// storedSize returns how many bytes a body of plain bytes takes when encrypted.
func (e *sealer) storedSize(plain int64) int64 {
	if e == nil {
		return plain
	}
	return crypt.CipherSize(plain, int(e.info.FrameBytes))
}

// etag returns the ETag of a body with this MD5. With SSE-KMS and SSE-C it must not
// reveal the MD5 of the body, so it is another value, as on S3.
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
