package config

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// MasterKeySize is the length of a master key, in bytes.
const MasterKeySize = 32

// DefaultMaxMemory is service.max-memory, in bytes, where neither that is set
// nor anything limits the process.
const DefaultMaxMemory = 512 << 20

// ListenAddress is the address to listen on, as host:port.
func (c *Config) ListenAddress() string {
	return net.JoinHostPort(c.Service.Host, strconv.Itoa(c.Service.Port))
}

// ListensBeyondLoopback says whether other machines may reach the service. A
// host name other than localhost counts as reachable.
func (c *Config) ListensBeyondLoopback() bool {
	if c.Service.Host == "localhost" {
		return false
	}
	addr, err := netip.ParseAddr(c.Service.Host)
	return err != nil || !addr.IsLoopback()
}

// Parts of keys that the documentation of S3 and of Pithos has printed for
// years: anybody may know them.
var (
	exampleIDs     = []string{"AKIAIOSFODNN7EXAMPLE", "BKIAIOSFODNN7EXAMPLE", "AKIDEXAMPLE"}
	exampleSecrets = []string{"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
)

// ParsePrefix reads a CIDR (10.0.0.0/8), or an address, which is one of itself.
func ParsePrefix(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is no address", text)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no CIDR", text)
	}
	if p.Addr().Is4In6() { // as addresses are compared
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("%q is wider than IPv4", text)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// ExampleKeys lists, sorted, the access keys of the configuration whose secret
// has been published as an example, or whose id has.
func (c *Config) ExampleKeys() []string {
	var found []string
	for _, id := range slices.Sorted(maps.Keys(c.Keystore.Keys)) {
		secret := []byte(c.Keystore.Keys[id].Secret.Reveal())
		published := slices.ContainsFunc(exampleSecrets, func(s string) bool {
			return subtle.ConstantTimeCompare([]byte(s), secret) == 1
		})
		if published || slices.Contains(exampleIDs, id) {
			found = append(found, id)
		}
	}
	return found
}

// UnverifiedTLS lists, sorted, the full names of the 'verify' keys that leave
// connections to Cassandra open to anyone in between.
func (c *Config) UnverifiedTLS() []string {
	var found []string
	check := func(path string, store *Cassandra) {
		if len(store.Cluster) > 0 && store.TLS.Enabled && !store.TLS.Verify {
			found = append(found, path+".tls.verify")
		}
	}
	check("bucketstore", &c.Bucketstore.Cassandra)
	for name, region := range c.Regions {
		path := join("regions", name)
		check(path+".metastore", &region.Metastore.Cassandra)
		for class, store := range region.StorageClasses {
			if store.Type == "cassandra" {
				check(join(path+".storage-classes", class), &store.Cassandra)
			}
		}
	}
	slices.Sort(found)
	return found
}

// Class finds a storage class of a region by the name a request gives, whose
// case does not count; the empty name means [StandardClass].
func (r *Region) Class(name string) (StorageClass, bool) {
	if name == "" {
		name = StandardClass
	}
	for have, class := range r.StorageClasses {
		if strings.EqualFold(have, name) {
			return class, true
		}
	}
	return StorageClass{}, false
}

// LoadMasterKey returns the master key of the environment or of the key file,
// [MasterKeySize] bytes, or nil where neither is configured. It reads the file
// each time. Errors name the place, never its contents.
func (e *Encryption) LoadMasterKey() ([]byte, error) {
	if e.MasterKey != "" {
		key, err := decodeMasterKey([]byte(e.MasterKey.Reveal()))
		if err != nil {
			return nil, fmt.Errorf("PITHOS_MASTER_KEY: %w", err)
		}
		return key, nil
	}
	if e.MasterKeyFile == "" {
		return nil, nil
	}
	data, err := os.ReadFile(e.MasterKeyFile)
	if err != nil {
		return nil, fmt.Errorf("encryption.master-key-file: %w", err)
	}
	if len(data) == MasterKeySize {
		return data, nil
	}
	key, err := decodeMasterKey(data)
	if err != nil {
		return nil, fmt.Errorf("encryption.master-key-file: %s: %w", e.MasterKeyFile, err)
	}
	return key, nil
}

var errMasterKey = errors.New("expected the base64 of 32 bytes")

// decodeMasterKey reads base64 in either alphabet, padded or not. The
// decoder's own errors are replaced: they quote what they could not read.
func decodeMasterKey(data []byte) ([]byte, error) {
	text := strings.TrimRight(strings.TrimSpace(string(data)), "=")
	text = strings.NewReplacer("-", "+", "_", "/").Replace(text)
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(key) != MasterKeySize {
		return nil, errMasterKey
	}
	return key, nil
}
