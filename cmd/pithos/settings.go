package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pithos/pithos/config"
)

// clientSettings is what a client needs to know of a server.
type clientSettings struct {
	// Endpoint is the address as clients use it, such as http://127.0.0.1:8080.
	Endpoint  string
	Region    string
	AccessKey string
	Secret    config.Secret
}

// endpointURL is the address for clients on this machine of a server that
// listens on address (host:port, as the listener knows it). A server that
// listens on every interface is reached by the loopback one: 127.0.0.1, also
// where the listener calls itself [::], which takes both families. So it is the
// address at which a container's port is published, too.
func endpointURL(address string, tls bool) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("endpoint of %q: %w", address, err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.Unmap().WithZone("").IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if tls {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

// hostPort is the endpoint without its scheme, and whether that is https.
func (s clientSettings) hostPort() (string, bool) {
	if rest, ok := strings.CutPrefix(s.Endpoint, "https://"); ok {
		return rest, true
	}
	return strings.TrimPrefix(s.Endpoint, "http://"), false
}

// awsCLI gives the settings as lines for a shell, then a first command.
func (s clientSettings) awsCLI() string {
	return fmt.Sprintf(`export AWS_ENDPOINT_URL=%s
export AWS_DEFAULT_REGION=%s
export AWS_ACCESS_KEY_ID=%s
export AWS_SECRET_ACCESS_KEY=%s
aws s3 mb s3://demo
`, shellQuote(s.Endpoint), shellQuote(s.Region), shellQuote(s.AccessKey), shellQuote(s.Secret.Reveal()))
}

// s3cmd gives the settings as a ~/.s3cfg. Buckets are addressed by path, which
// needs no names in the DNS.
func (s clientSettings) s3cmd() string {
	host, https := s.hostPort()
	return fmt.Sprintf(`[default]
host_base = %[1]s
host_bucket = %[1]s
use_https = %[2]s
bucket_location = %[3]s
access_key = %[4]s
secret_key = %[5]s
`, host, pythonBool(https), s.Region, s.AccessKey, s.Secret.Reveal())
}

// boto3 gives the settings as a Python program.
func (s clientSettings) boto3() string {
	return fmt.Sprintf(`import boto3
s3 = boto3.client(
    "s3",
    endpoint_url=%s,
    region_name=%s,
    aws_access_key_id=%s,
    aws_secret_access_key=%s,
)
s3.create_bucket(Bucket="demo")
`, pythonQuote(s.Endpoint), pythonQuote(s.Region), pythonQuote(s.AccessKey), pythonQuote(s.Secret.Reveal()))
}

// print writes the settings for all clients, ready to paste. They hold the
// secret: print them only where it was just made, and only to its owner.
func (s clientSettings) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `Pithos listens on %s

  access key  %s
  secret key  %s
  region      %s
`, s.Endpoint, s.AccessKey, s.Secret.Reveal(), s.Region)
	for _, client := range []struct{ title, text string }{
		{"aws CLI (2.13 or later), in a shell", s.awsCLI()},
		{"s3cmd, as ~/.s3cfg", s.s3cmd()},
		{"boto3, in Python", s.boto3()},
	} {
		fmt.Fprintf(&b, "\n-- %s\n\n%s", client.title, client.text)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// shellQuote makes a word of a POSIX shell. Plain words stay as they are.
func shellQuote(text string) string {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:+=@", r))
	}
	if text != "" && !strings.ContainsFunc(text, odd) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// pythonQuote makes a string of Python: Go's quoting, of which Python reads all
// that valid UTF-8 can become.
func pythonQuote(text string) string { return strconv.Quote(text) }

func pythonBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
