package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// admin checks the address of the operators' port.
func (d *decoder) admin(a *Admin) {
	for _, host := range a.Hosts {
		if !hostName.MatchString(strings.ToLower(host)) {
			d.failAt("admin.hosts", fmt.Sprintf("expected a host name such as pithos.example.com, found %q", clip(host)), "leave scheme and port out")
		}
	}
	if a.Listen == "" {
		return
	}
	_, port, err := net.SplitHostPort(a.Listen)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
		d.failAt("admin.listen", fmt.Sprintf("expected host:port, found %q", clip(a.Listen)), "such as 127.0.0.1:9100")
	}
}

// tracing checks the address of the collector.
func (d *decoder) tracing(t *Tracing) {
	if t.Endpoint == "" {
		return
	}
	u, err := url.Parse(t.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		d.failAt("tracing.endpoint", "expected a URL with http or https and a host, and without a user", "such as http://127.0.0.1:4318")
	}
}

// AdminBeyondLoopback says whether other machines may reach the operators'
// port. A host name other than localhost counts as reachable.
func (c *Config) AdminBeyondLoopback() bool {
	host, _, err := net.SplitHostPort(c.Admin.Listen)
	if err != nil || host == "localhost" {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err != nil || !addr.IsLoopback()
}
