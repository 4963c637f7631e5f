package s3api

import (
	"encoding/xml"
	"errors"
	"net/http"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/policy"
)

// The names in meta.BucketConfig.Documents that this package uses.
const (
	docPolicy            = "policy" // as the client sent it
	docCORS              = "cors"
	docPublicAccessBlock = "publicAccessBlock"
)

// setDocument stores a document of the request's bucket; nil removes it.
func (a *API) setDocument(r *Request, name string, doc []byte) error {
	_, err := a.store.UpdateBucket(r.Context(), r.Bucket, func(c *meta.BucketConfig) error {
		documents := map[string][]byte{}
		for k, v := range c.Documents {
			documents[k] = v
		}
		documents[name] = doc
		if doc == nil {
			delete(documents, name)
		}
		c.Documents = documents
		return nil
	})
	return err
}

// dropDocument answers the DELETE of a document.
func (a *API) dropDocument(w http.ResponseWriter, r *Request, name string) error {
	if err := a.setDocument(r, name, nil); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// getBucketPolicy is GetBucketPolicy.
func getBucketPolicy(_ *API, w http.ResponseWriter, r *Request) error {
	doc := r.Bucket.Config.Documents[docPolicy]
	if doc == nil {
		return fail(s3err.NoSuchBucketPolicy)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", itoa(len(doc)))
	_, err := w.Write(doc)
	return err
}

// putBucketPolicy is PutBucketPolicy.
func putBucketPolicy(a *API, w http.ResponseWriter, r *Request) error {
	doc, err := r.Document()
	if err != nil {
		return err
	}
	p, err := policy.Parse(doc)
	if err == nil {
		err = p.Validate(r.BucketName)
	}
	var bad *policy.MalformedError
	if errors.As(err, &bad) {
		return failf(s3err.MalformedPolicy, "%s", bad.Error())
	}
	if err != nil {
		return err
	}
	block, err := publicAccessBlock(r.Bucket)
	if err != nil {
		return err
	}
	if !block.AdmitsPolicy(p) {
		return fail(s3err.AccessDenied).WithHint("the bucket's public access block refuses public policies")
	}
	if err := a.setDocument(r, docPolicy, doc); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteBucketPolicy is DeleteBucketPolicy.
func deleteBucketPolicy(a *API, w http.ResponseWriter, r *Request) error {
	return a.dropDocument(w, r, docPolicy)
}

type policyStatusXML struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ PolicyStatus"`
	IsPublic bool
}

// getBucketPolicyStatus is GetBucketPolicyStatus.
func getBucketPolicyStatus(a *API, w http.ResponseWriter, r *Request) error {
	public, err := a.bucketIsPublic(r.Bucket)
	if err != nil {
		return err
	}
	return writeXML(w, policyStatusXML{IsPublic: public})
}

type publicAccessBlockXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ PublicAccessBlockConfiguration"`
	policy.PublicAccessBlock
}

// publicAccessBlock returns the bucket's public access block; without one, nothing
// is blocked.
func publicAccessBlock(b *meta.Bucket) (block policy.PublicAccessBlock, err error) {
	if doc := b.Config.Documents[docPublicAccessBlock]; doc != nil {
		err = xml.Unmarshal(doc, &block)
	}
	return block, err
}

// getPublicAccessBlock is GetPublicAccessBlock.
func getPublicAccessBlock(_ *API, w http.ResponseWriter, r *Request) error {
	return answerDocument(w, r, docPublicAccessBlock, s3err.NoSuchPublicAccessBlockConfiguration)
}

// answerDocument answers with a document that is stored as XML, or with the error
// absent.
func answerDocument(w http.ResponseWriter, r *Request, name string, absent s3err.Code) error {
	doc := r.Bucket.Config.Documents[name]
	if doc == nil {
		return fail(absent)
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", itoa(len(doc)))
	_, err := w.Write(doc)
	return err
}

// putPublicAccessBlock is PutPublicAccessBlock.
func putPublicAccessBlock(a *API, _ http.ResponseWriter, r *Request) error {
	var doc policy.PublicAccessBlock
	if err := r.DecodeXML(&doc, "PublicAccessBlockConfiguration"); err != nil {
		return err
	}
	encoded, err := encodeXML(publicAccessBlockXML{PublicAccessBlock: doc})
	if err != nil {
		return err
	}
	return a.setDocument(r, docPublicAccessBlock, encoded)
}

// deletePublicAccessBlock is DeletePublicAccessBlock.
func deletePublicAccessBlock(a *API, w http.ResponseWriter, r *Request) error {
	return a.dropDocument(w, r, docPublicAccessBlock)
}

type ownershipXML struct {
	XMLName xml.Name                           `xml:"http://s3.amazonaws.com/doc/2006-03-01/ OwnershipControls"`
	Rules   []struct{ ObjectOwnership string } `xml:"Rule"`
}

// getOwnershipControls is GetBucketOwnershipControls.
func getOwnershipControls(_ *API, w http.ResponseWriter, r *Request) error {
	if r.Bucket.Config.Ownership == "" {
		return fail(s3err.OwnershipControlsNotFoundError)
	}
	var out ownershipXML
	out.Rules = append(out.Rules, struct{ ObjectOwnership string }{r.Bucket.Config.Ownership})
	return writeXML(w, out)
}

// putOwnershipControls is PutBucketOwnershipControls.
func putOwnershipControls(a *API, _ http.ResponseWriter, r *Request) error {
	var doc struct {
		Rules []struct{ ObjectOwnership string } `xml:"Rule"`
	}
	if err := r.DecodeXML(&doc, "OwnershipControls"); err != nil {
		return err
	}
	if len(doc.Rules) != 1 || !knownOwnership(doc.Rules[0].ObjectOwnership) {
		return malformedXML("one Rule with an ObjectOwnership of BucketOwnerEnforced, BucketOwnerPreferred or ObjectWriter is needed")
	}
	kind := doc.Rules[0].ObjectOwnership
	_, err := a.store.UpdateBucket(r.Context(), r.Bucket, func(c *meta.BucketConfig) error {
		if acl := effective(c.ACL, r.Bucket.Owner); kind == ownerEnforced && !onlyOwner(acl, r.Bucket.Owner) {
			return fail(s3err.InvalidBucketAclWithObjectOwnership)
		}
		c.Ownership = kind
		return nil
	})
	return err
}

// deleteOwnershipControls is DeleteBucketOwnershipControls.
func deleteOwnershipControls(a *API, w http.ResponseWriter, r *Request) error {
	_, err := a.store.UpdateBucket(r.Context(), r.Bucket, func(c *meta.BucketConfig) error {
		c.Ownership = ""
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
