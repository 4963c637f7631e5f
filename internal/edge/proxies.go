package edge

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/s3api"
)

// proxies finds out where requests come from: see service.trusted-proxies.
//
// A header is trusted only as far as trusted proxies have written it. Each proxy
// appends the address of its peer. So the list is read from its right end, and the
// first address that is not a trusted proxy's is the client's: the client may have
// sent everything to the left of it. Only the header of service.forwarded-header
// is read, since a proxy passes through the header that it does not write itself.
type proxies struct {
	trusted []netip.Prefix
	header  string
}

func newProxies(s *config.Service) (proxies, error) {
	p := proxies{header: http.CanonicalHeaderKey(s.ForwardedHeader)}
	for _, text := range s.TrustedProxies {
		prefix, err := config.ParsePrefix(text)
		if err != nil {
			return p, err
		}
		p.trusted = append(p.trusted, prefix)
	}
	return p, nil
}

func (p proxies) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(p.trusted, func(n netip.Prefix) bool { return n.Contains(a) })
}

// errForwarded is the error of a header that no proxy writes.
var errForwarded = errors.New("the header Forwarded is malformed")

// client returns where r comes from; Client.Proxy is the trusted proxy, if any.
func (p proxies) client(r *http.Request) (s3api.Client, error) {
	c := s3api.ClientOf(r)
	if len(p.trusted) == 0 || !c.Address.IsValid() || !p.trusts(c.Address) {
		return c, nil
	}
	c.Proxy = c.Address.String()
	if p.header == "Forwarded" {
		return c, p.forwarded(r.Header["Forwarded"], &c)
	}
	if proto := r.Header["X-Forwarded-Proto"]; len(proto) > 0 {
		// Some proxies append theirs: then all have to be secure.
		c.Secure = true
		for item := range strings.SplitSeq(strings.Join(proto, ","), ",") {
			c.Secure = c.Secure && strings.EqualFold(strings.TrimSpace(item), "https")
		}
	}
	for _, line := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for more := true; more; {
			cut := strings.LastIndexByte(line, ',')
			if !p.hop(strings.TrimSpace(line[cut+1:]), &c) {
				return c, nil
			}
			if more = cut >= 0; more {
				line = line[:cut]
			}
		}
	}
	return c, nil
}

// hop sets the client's address to the peer of a trusted proxy, and reports whether
// that is a trusted proxy too. If the proxy does not say it ("unknown"), the
// address of the proxy stays.
func (p proxies) hop(text string, c *s3api.Client) (proxy bool) {
	a, ok := nodeAddress(text)
	if !ok {
		return false
	}
	c.Address = a
	return p.trusts(a)
}

// nodeAddress reads 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] and
// [2001:db8::1]:80.
func nodeAddress(text string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text, ok = strings.CutSuffix(inner, "]")
		if !ok || !strings.Contains(text, ":") {
			return netip.Addr{}, false
		}
	}
	a, err := netip.ParseAddr(text)
	return a.Unmap().WithZone(""), err == nil
}

// forwarded reads the header of RFC 7239.
func (p proxies) forwarded(lines []string, c *s3api.Client) error {
	elements, err := parseForwarded(strings.Join(lines, ","))
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(elements) {
		c.Secure = strings.EqualFold(e.proto, "https")
		if !p.hop(e.node, c) {
			break
		}
	}
	return nil
}

// maxForwarded is the most proxies, and parameters of each, that are read.
const maxForwarded = 64

type forwardedElement struct{ node, proto string }

// parseForwarded parses strictly: otherwise a client could open a quoted string
// that includes what the proxy appends.
func parseForwarded(text string) (elements []forwardedElement, err error) {
	var e forwardedElement
	seen := map[string]bool{}
	for text = trimSpace(text); text != ""; {
		if text[0] == ',' { // empty elements are allowed (RFC 9110, section 5.6.1)
			text = trimSpace(text[1:])
			continue
		}
		name, value, rest, err := forwardedPair(text)
		if err != nil || seen[name] {
			return nil, errForwarded
		}
		seen[name] = true
		switch name {
		case "for":
			e.node = value
		case "proto":
			e.proto = value
		}
		text = trimSpace(rest)
		switch {
		case len(elements) == maxForwarded || len(seen) > maxForwarded:
			return nil, errForwarded
		case text == "" || text[0] == ',':
			elements = append(elements, e)
			e, seen = forwardedElement{}, map[string]bool{}
		case text[0] == ';':
			if text = trimSpace(text[1:]); text == "" || text[0] == ',' || text[0] == ';' {
				return nil, errForwarded
			}
		default:
			return nil, errForwarded
		}
	}
	return elements, nil
}

func trimSpace(s string) string { return strings.TrimLeft(s, " \t") }

// forwardedPair reads token=token or token="quoted".
func forwardedPair(text string) (name, value, rest string, err error) {
	name, text, ok := strings.Cut(text, "=")
	if !ok || !isToken(name) {
		return "", "", "", errForwarded
	}
	name = strings.ToLower(name)
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexFunc(text, func(r rune) bool { return !isTokenChar(r) })
		if end < 0 {
			end = len(text)
		}
		if end == 0 {
			return "", "", "", errForwarded
		}
		return name, text[:end], text[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			return name, b.String(), text[i+1:], nil
		case '\\':
			if i++; i < len(text) {
				b.WriteByte(text[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", "", errForwarded
}

func isToken(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !isTokenChar(r) }) < 0
}

// isTokenChar accepts RFC 9110's tchar, and the colon and brackets, which proxies
// wrongly leave unquoted in addresses.
func isTokenChar(r rune) bool {
	return r > ' ' && r < 0x7f && !strings.ContainsRune(`"(),/;<=>?@\{}`, r)
}

// share returns the callers that a request is accounted to.
func (p proxies) share(r *http.Request) callers { return p.shareOf(s3api.ClientOf(r).Address) }

// shareOf returns an address of IPv4; of IPv6 the /64, which is a link, and the
// /48, which is the most that a customer gets: 65,536 links must not have as many
// shares. Both are "" for a trusted proxy, which has many clients, and if the
// address is not known.
func (p proxies) shareOf(a netip.Addr) callers {
	switch {
	case !a.IsValid() || p.trusts(a):
		return callers{}
	case a.Is6():
		return callers{netip.PrefixFrom(a, 64).Masked().String(), "", netip.PrefixFrom(a, 48).Masked().String()}
	}
	return callers{a.String()}
}
