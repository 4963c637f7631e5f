//go:build !unix

package engine

// permissionHint says that the directory cannot be written.
func permissionHint(string) string { return "pithos may not write there" }
