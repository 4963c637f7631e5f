package s3api

import (
	"encoding/xml"
	"net/http"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

type encryptionXML struct {
	XMLName xml.Name            `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ServerSideEncryptionConfiguration"`
	Rules   []encryptionRuleXML `xml:"Rule"`
}

type encryptionRuleXML struct {
	Default struct {
		SSEAlgorithm   string
		KMSMasterKeyID text `xml:",omitempty"`
	} `xml:"ApplyServerSideEncryptionByDefault"`
	BucketKeyEnabled bool
}

// getBucketEncryption is GetBucketEncryption.
func getBucketEncryption(_ *API, w http.ResponseWriter, r *Request) error {
	e := r.Bucket.Config.Encryption
	if e == nil {
		return fail("ServerSideEncryptionConfigurationNotFoundError")
	}
	var rule encryptionRuleXML
	rule.Default.SSEAlgorithm, rule.Default.KMSMasterKeyID = e.Algorithm, text(e.KMSKeyID)
	rule.BucketKeyEnabled = e.BucketKey
	return writeXML(w, encryptionXML{Rules: []encryptionRuleXML{rule}})
}

// encryptionDocument is a ServerSideEncryptionConfiguration as a client sends it.
type encryptionDocument struct {
	Rules []struct {
		Default *struct {
			SSEAlgorithm, KMSMasterKeyID string
		} `xml:"ApplyServerSideEncryptionByDefault"`
		BucketKeyEnabled       bool
		BlockedEncryptionTypes *struct {
			EncryptionType []string
		}
	} `xml:"Rule"`
}

// putBucketEncryption is PutBucketEncryption.
func putBucketEncryption(a *API, _ http.ResponseWriter, r *Request) error {
	config, err := givenEncryption(r)
	if err == nil {
		err = a.mayUseKey(r, config.KMSKeyID)
	}
	if err != nil {
		return err
	}
	_, err = a.store.UpdateBucket(r.Context(), r.BucketName, func(c *meta.BucketConfig) error {
		c.Encryption = config
		return nil
	})
	return err
}

func givenEncryption(r *Request) (*meta.EncryptionConfig, error) {
	var doc encryptionDocument
	if err := r.DecodeXML(&doc, "ServerSideEncryptionConfiguration"); err != nil {
		return nil, err
	}
	if len(doc.Rules) != 1 || doc.Rules[0].Default == nil {
		return nil, malformedXML("one Rule with ApplyServerSideEncryptionByDefault is needed")
	}
	rule := doc.Rules[0]
	if b := rule.BlockedEncryptionTypes; b != nil && (len(b.EncryptionType) != 1 || b.EncryptionType[0] != "NONE") {
		return nil, failf("NotImplemented", "BlockedEncryptionTypes is not implemented.")
	}
	switch rule.Default.SSEAlgorithm {
	case store.AlgorithmAES256:
		if rule.Default.KMSMasterKeyID != "" {
			return nil, failf("InvalidArgument", "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms")
		}
	case store.AlgorithmKMS:
	case "aws:kms:dsse":
		return nil, failf("NotImplemented", "Encryption with aws:kms:dsse is not implemented")
	default:
		return nil, malformedXML("SSEAlgorithm is AES256 or aws:kms")
	}
	return &meta.EncryptionConfig{Algorithm: rule.Default.SSEAlgorithm, KMSKeyID: rule.Default.KMSMasterKeyID, BucketKey: rule.BucketKeyEnabled}, nil
}

// deleteBucketEncryption is DeleteBucketEncryption.
func deleteBucketEncryption(a *API, w http.ResponseWriter, r *Request) error {
	_, err := a.store.UpdateBucket(r.Context(), r.BucketName, func(c *meta.BucketConfig) error {
		c.Encryption = nil
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
