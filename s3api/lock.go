package s3api

import (
	"encoding/xml"
	"net/http"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// The longest default retention.
const (
	maxLockDays  = 36500
	maxLockYears = 100
)

type lockXML struct {
	XMLName           xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ObjectLockConfiguration"`
	ObjectLockEnabled string
	Rule              *lockRuleXML `xml:",omitempty"`
}

type lockRuleXML struct {
	DefaultRetention struct {
		Mode  string
		Days  int `xml:",omitempty"`
		Years int `xml:",omitempty"`
	}
}

// getLockConfiguration is GetObjectLockConfiguration.
func getLockConfiguration(_ *API, w http.ResponseWriter, r *Request) error {
	lock := r.Bucket.Config.Lock
	if lock == nil {
		return fail(s3err.ObjectLockConfigurationNotFoundError)
	}
	out := lockXML{ObjectLockEnabled: "Enabled"}
	if lock.Mode != "" {
		out.Rule = &lockRuleXML{}
		out.Rule.DefaultRetention.Mode = lock.Mode
		out.Rule.DefaultRetention.Days, out.Rule.DefaultRetention.Years = lock.Days, lock.Years
	}
	return writeXML(w, out)
}

// putLockConfiguration is PutObjectLockConfiguration.
func putLockConfiguration(a *API, _ http.ResponseWriter, r *Request) error {
	lock, err := parseLock(r)
	if err != nil {
		return err
	}
	_, err = a.store.UpdateBucket(r.Context(), r.Bucket, func(c *meta.BucketConfig) error {
		if c.Versioning != store.VersioningEnabled {
			return failf(s3err.InvalidBucketState, "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
		}
		c.Lock = lock
		return nil
	})
	return err
}

func validMode(mode string) bool { return mode == store.ModeGovernance || mode == store.ModeCompliance }

func parseLock(r *Request) (*meta.LockConfig, error) {
	var doc struct {
		ObjectLockEnabled string
		Rule              *struct {
			DefaultRetention *struct {
				Mode        string
				Days, Years *int
			}
		}
	}
	if err := r.DecodeXML(&doc, "ObjectLockConfiguration"); err != nil {
		return nil, err
	}
	if doc.ObjectLockEnabled != "Enabled" {
		return nil, malformedXML("ObjectLockEnabled must be Enabled")
	}
	if doc.Rule == nil || doc.Rule.DefaultRetention == nil {
		return &meta.LockConfig{}, nil
	}
	d := doc.Rule.DefaultRetention
	if !validMode(d.Mode) || (d.Days == nil) == (d.Years == nil) {
		return nil, malformedXML("DefaultRetention needs a Mode of GOVERNANCE or COMPLIANCE, and either Days or Years")
	}
	lock := &meta.LockConfig{Mode: d.Mode}
	period, limit := &lock.Days, maxLockDays
	given := d.Days
	if d.Years != nil {
		period, limit, given = &lock.Years, maxLockYears, d.Years
	}
	if *given < 1 || *given > limit {
		return nil, failf(s3err.InvalidRetentionPeriod, "Default retention period must be a positive integer value of at most %d", limit)
	}
	*period = *given
	return lock, nil
}

type retentionXML struct {
	XMLName         xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Retention"`
	Mode            string
	RetainUntilDate stamp
}

func (a *API) lockedVersion(w http.ResponseWriter, r *Request) (*meta.Version, error) {
	if r.Bucket.Config.Lock == nil {
		return nil, failf(s3err.InvalidRequest, "Bucket is missing Object Lock Configuration")
	}
	v, id, err := a.version(r.Context(), r.Bucket, r.Key, r.VersionID())
	if err == nil {
		setVersionID(w, id)
	}
	return v, err
}

// getObjectRetention is GetObjectRetention.
func getObjectRetention(a *API, w http.ResponseWriter, r *Request) error {
	v, err := a.lockedVersion(w, r)
	if err != nil {
		return err
	}
	if v.Retention == nil {
		return fail(s3err.NoSuchObjectLockConfiguration)
	}
	return writeXML(w, retentionXML{Mode: v.Retention.Mode, RetainUntilDate: micros(v.Retention.Until)})
}

// parseRetention parses a Retention document; nil removes the retention.
func (a *API) parseRetention(r *Request) (*meta.Retention, error) {
	var doc struct{ Mode, RetainUntilDate string }
	if err := r.DecodeXML(&doc, "Retention"); err != nil {
		return nil, err
	}
	if doc.Mode == "" && doc.RetainUntilDate == "" {
		return nil, nil
	}
	until, err := time.Parse(time.RFC3339Nano, doc.RetainUntilDate)
	if err != nil || !validMode(doc.Mode) {
		return nil, malformedXML("Retention needs a Mode of GOVERNANCE or COMPLIANCE, and a RetainUntilDate in ISO 8601")
	}
	if !until.After(a.options.Now()) {
		return nil, badArgument("RetainUntilDate", doc.RetainUntilDate, "The retain until date must be in the future!")
	}
	if until.Year() > 9999 {
		return nil, badArgument("RetainUntilDate", doc.RetainUntilDate, "The retain until date is too far in the future")
	}
	return &meta.Retention{Mode: doc.Mode, Until: until.UnixMicro()}, nil
}

// putObjectRetention is PutObjectRetention.
func putObjectRetention(a *API, w http.ResponseWriter, r *Request) error {
	retention, err := a.parseRetention(r)
	if err != nil {
		return err
	}
	id, err := a.store.SetRetention(r.Context(), r.Bucket, r.Key, r.VersionID(), retention, r.bypassGovernance())
	if err != nil {
		return err
	}
	setVersionID(w, id)
	return nil
}

type legalHoldXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LegalHold"`
	Status  string
}

// getObjectLegalHold is GetObjectLegalHold.
func getObjectLegalHold(a *API, w http.ResponseWriter, r *Request) error {
	v, err := a.lockedVersion(w, r)
	if err != nil {
		return err
	}
	if !v.LegalHold && !v.LegalHoldReleased {
		return fail(s3err.NoSuchObjectLockConfiguration)
	}
	return writeXML(w, legalHoldXML{Status: holdStatus(v.LegalHold)})
}

func holdStatus(on bool) string {
	if on {
		return "ON"
	}
	return "OFF"
}

func parseLegalHold(r *Request) (on bool, err error) {
	var doc struct{ Status string }
	if err := r.DecodeXML(&doc, "LegalHold"); err != nil {
		return false, err
	}
	if doc.Status != "ON" && doc.Status != "OFF" {
		return false, malformedXML("Status is ON or OFF")
	}
	return doc.Status == "ON", nil
}

// putObjectLegalHold is PutObjectLegalHold.
func putObjectLegalHold(a *API, w http.ResponseWriter, r *Request) error {
	on, err := parseLegalHold(r)
	if err != nil {
		return err
	}
	id, err := a.store.SetLegalHold(r.Context(), r.Bucket, r.Key, r.VersionID(), on)
	if err != nil {
		return err
	}
	setVersionID(w, id)
	return nil
}
