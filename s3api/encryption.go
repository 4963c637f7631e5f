package s3api

import (
	"encoding/xml"
	"net/http"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

type encryptionXML struct {
	XMLName xml.Name            `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ServerSideEncryptionConfiguration"`
	Rules   []encryptionRuleXML `xml:"Rule"`
}

type encryptionRuleXML struct {
	Default          *encryptionDefaultXML `xml:"ApplyServerSideEncryptionByDefault"`
	BucketKeyEnabled bool
	Blocked          *blockedEncryptionXML `xml:"BlockedEncryptionTypes"`
}

type encryptionDefaultXML struct {
	SSEAlgorithm   string
	KMSMasterKeyID text `xml:",omitempty"`
}

type blockedEncryptionXML struct {
	Types []string `xml:"EncryptionType"`
}

// getBucketEncryption is GetBucketEncryption.
func getBucketEncryption(_ *API, w http.ResponseWriter, r *Request) error {
	e := r.Bucket.Config.Encryption
	if e == nil {
		return fail(s3err.ServerSideEncryptionConfigurationNotFoundError)
	}
	rule := encryptionRuleXML{BucketKeyEnabled: e.BucketKey}
	if e.Algorithm != "" {
		rule.Default = &encryptionDefaultXML{SSEAlgorithm: e.Algorithm, KMSMasterKeyID: text(e.KMSKeyID)}
	}
	if len(e.Blocked) > 0 {
		rule.Blocked = &blockedEncryptionXML{e.Blocked}
	}
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
			EncryptionType string
		}
	} `xml:"Rule"`
}

// putBucketEncryption is PutBucketEncryption.
func putBucketEncryption(a *API, _ http.ResponseWriter, r *Request) error {
	config, err := parseEncryption(r)
	if err == nil {
		err = a.mayUseKey(r, config.KMSKeyID)
	}
	if err != nil {
		return err
	}
	_, err = a.store.UpdateBucket(r.Context(), r.Bucket, func(c *meta.BucketConfig) error {
		c.Encryption = config
		return nil
	})
	return err
}

func parseEncryption(r *Request) (*meta.EncryptionConfig, error) {
	var doc encryptionDocument
	if err := r.DecodeXML(&doc, "ServerSideEncryptionConfiguration"); err != nil {
		return nil, err
	}
	if len(doc.Rules) != 1 {
		return nil, malformedXML("one Rule is needed")
	}
	rule := doc.Rules[0]
	config := &meta.EncryptionConfig{BucketKey: rule.BucketKeyEnabled}
	if b := rule.BlockedEncryptionTypes; b != nil {
		if b.EncryptionType != store.SSEC && b.EncryptionType != "NONE" {
			return nil, malformedXML("the EncryptionType of BlockedEncryptionTypes is SSE-C or NONE")
		}
		config.Blocked = []string{b.EncryptionType}
	}
	if rule.Default == nil { // on AWS, a rule may contain only BlockedEncryptionTypes
		return config, nil
	}
	switch rule.Default.SSEAlgorithm {
	case store.AlgorithmAES256:
		if rule.Default.KMSMasterKeyID != "" {
			return nil, failf(s3err.InvalidArgument, "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms")
		}
	case store.AlgorithmKMS:
	case "aws:kms:dsse":
		return nil, failf(s3err.NotImplemented, "Encryption with aws:kms:dsse is not implemented")
	default:
		return nil, malformedXML("SSEAlgorithm is AES256 or aws:kms")
	}
	config.Algorithm, config.KMSKeyID = rule.Default.SSEAlgorithm, rule.Default.KMSMasterKeyID
	return config, nil
}

// deleteBucketEncryption is DeleteBucketEncryption.
func deleteBucketEncryption(a *API, w http.ResponseWriter, r *Request) error {
	_, err := a.store.UpdateBucket(r.Context(), r.Bucket, func(c *meta.BucketConfig) error {
		c.Encryption = nil
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
