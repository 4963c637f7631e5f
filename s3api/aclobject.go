package s3api

import (
	"net/http"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// objectOwner returns the canonical id of the owner of v in b.
func objectOwner(b *meta.Bucket, v *meta.Version) string { return ownerIn(b, v.Owner) }

// ownerIn returns the owner, in a bucket, of an object with a recorded owner.
func ownerIn(b *meta.Bucket, recorded string) string {
	if ownership(b) == ownerEnforced || recorded == "" {
		return b.Owner
	}
	return recorded
}

// setVersionID sets the header with the version id.
func setVersionID(w http.ResponseWriter, id string) {
	if id != "" {
		w.Header().Set("x-amz-version-id", id)
	}
}

// getObjectACL is GetObjectAcl.
func getObjectACL(a *API, w http.ResponseWriter, r *Request) error {
	v, id, err := a.version(r.Context(), r.Bucket, r.Key, r.VersionID())
	if err != nil {
		return err
	}
	setVersionID(w, id)
	acl := v.ACL
	if ownership(r.Bucket) == ownerEnforced {
		acl = meta.ACL{}
	}
	return writeACL(w, acl, objectOwner(r.Bucket, v))
}

// putObjectACL is PutObjectAcl.
func putObjectACL(a *API, w http.ResponseWriter, r *Request) error {
	if ownership(r.Bucket) == ownerEnforced {
		return fail(s3err.AccessControlListNotSupported)
	}
	v, _, err := a.version(r.Context(), r.Bucket, r.Key, r.VersionID())
	if err != nil {
		return err
	}
	owner := objectOwner(r.Bucket, v)
	acl, err := a.parseACL(r, owner, r.Bucket.Owner)
	if err != nil {
		return err
	}
	if err := admitACL(r.Bucket, acl); err != nil {
		return err
	}
	_, id, err := a.store.UpdateVersion(r.Context(), r.Bucket, r.Key, r.VersionID(), func(v *meta.Version) error {
		if objectOwner(r.Bucket, v) != owner {
			return fail(s3err.OperationAborted) // another tenant's object has replaced it
		}
		v.ACL = acl
		return nil
	})
	if err != nil {
		return err
	}
	setVersionID(w, id)
	return nil
}
