package s3api

import (
	"encoding/xml"
	"net/http"
)

// What follows are settings of which Pithos has but the default: it is shown,
// and nothing else can be set.

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
		return failf("NotImplemented", "Requester Pays is not implemented.")
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

// getLogging is GetBucketLogging: it is off.
func getLogging(_ *API, w http.ResponseWriter, _ *Request) error {
	return writeXML(w, loggingXML{})
}

type accelerateXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccelerateConfiguration"`
}

// getAccelerate is GetBucketAccelerateConfiguration: it never was on.
func getAccelerate(_ *API, w http.ResponseWriter, _ *Request) error {
	return writeXML(w, accelerateXML{})
}
