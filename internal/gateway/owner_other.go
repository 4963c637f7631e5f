//go:build !unix

package gateway

// whoseIs says who may write where this process may not.
func whoseIs(string) string { return "pithos may not write there" }
