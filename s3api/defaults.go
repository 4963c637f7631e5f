package s3api

import (
	"encoding/xml"
	"net/http"

	"github.com/pithos/pithos/internal/s3err"
)

// This file has the handlers of settings that can only have their default, and of
// features that Pithos does not have (see [Operation.Absent]). They answer what AWS
// answers for a bucket without any configuration, and nothing else can be set.

type requestPaymentXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ RequestPaymentConfiguration"`
	Payer   string
}

// getRequestPayment is GetBucketRequestPayment.
func getRequestPayment(_ *API, w http.ResponseWriter, _ *Request) error {
	return writeXML(w, requestPaymentXML{Payer: "BucketOwner"})
}

// putRequestPayment is PutBucketRequestPayment.
func putRequestPayment(_ *API, _ http.ResponseWriter, r *Request) error {
	var doc struct{ Payer string }
	if err := r.DecodeXML(&doc, "RequestPaymentConfiguration"); err != nil {
		return err
	}
	switch doc.Payer {
	case "BucketOwner":
		return nil
	case "Requester":
		return failf(s3err.NotImplemented, "Requester Pays is not implemented.")
	}
	return malformedXML("Payer is BucketOwner or Requester")
}

type notificationXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ NotificationConfiguration"`
}

// getNotification is GetBucketNotificationConfiguration: there is none.
func getNotification(_ *API, w http.ResponseWriter, _ *Request) error {
	return writeXML(w, notificationXML{})
}

type loggingXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ BucketLoggingStatus"`
}

// getLogging is GetBucketLogging: it is disabled.
func getLogging(_ *API, w http.ResponseWriter, _ *Request) error {
	return writeXML(w, loggingXML{})
}

type accelerateXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccelerateConfiguration"`
}

// getAccelerate is GetBucketAccelerateConfiguration: it was never enabled.
func getAccelerate(_ *API, w http.ResponseWriter, _ *Request) error {
	return writeXML(w, accelerateXML{})
}

// notConfigured answers that a bucket has no configuration of some kind, by AWS'
// error code for that.
func notConfigured(code s3err.Code) handler {
	return func(*API, http.ResponseWriter, *Request) error { return fail(code) }
}

// nothingToDelete answers the DELETE of a configuration that no bucket has. As on
// AWS it succeeds.
func nothingToDelete(_ *API, w http.ResponseWriter, _ *Request) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type emptyListXML struct {
	XMLName     xml.Name
	IsTruncated bool
}

// emptyList answers the listing of configurations that no bucket has. root is the
// root element of AWS' answer.
func emptyList(root string) handler {
	return func(_ *API, w http.ResponseWriter, r *Request) error {
		if err := noContinuation(r); err != nil {
			return err
		}
		return writeXML(w, emptyListXML{XMLName: xml.Name{Space: namespace, Local: root}})
	}
}

// noContinuation refuses a continuation token for a listing that never has a second
// page.
func noContinuation(r *Request) error {
	if token := r.Query().Get("continuation-token"); token != "" {
		return badArgument("continuation-token", token, "The continuation token provided is incorrect")
	}
	return nil
}

type abacXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AbacStatus"`
	Status  string
}

// getAbac is GetBucketAbac: tags of buckets do not affect access.
func getAbac(_ *API, w http.ResponseWriter, _ *Request) error {
	return writeXML(w, abacXML{Status: "Disabled"})
}

type annotationsXML struct {
	XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListObjectAnnotationsOutput"`
	Bucket               string
	Key                  text
	AnnotationPrefix     *text `xml:",omitempty"`
	MaxAnnotationResults int
	AnnotationCount      int
}

const maxAnnotations = 1000

// listAnnotations is ListObjectAnnotations: no object has any.
func listAnnotations(a *API, w http.ResponseWriter, r *Request) error {
	out := annotationsXML{Bucket: r.BucketName, Key: text(r.Key), AnnotationPrefix: optional(r, "annotation-prefix"), MaxAnnotationResults: maxAnnotations}
	if r.Has("max-annotation-results") {
		var err error
		if out.MaxAnnotationResults, err = intParam(r, "max-annotation-results", 1, maxAnnotations); err != nil {
			return err
		}
	}
	if err := noContinuation(r); err != nil {
		return err
	}
	if err := a.annotated(w, r); err != nil {
		return err
	}
	return writeXML(w, out)
}

// getAnnotation is GetObjectAnnotation: no object has any.
func getAnnotation(a *API, w http.ResponseWriter, r *Request) error {
	if err := a.annotated(w, r); err != nil {
		return err
	}
	return fail(s3err.NoSuchAnnotation)
}

// annotated returns an error if the object does not exist, and sets the header with
// its version id.
func (a *API) annotated(w http.ResponseWriter, r *Request) error {
	_, id, err := a.version(r.Context(), r.Bucket, r.Key, r.VersionID())
	if err == nil && id != "" {
		w.Header().Set("x-amz-object-version-id", id)
	}
	return err
}
