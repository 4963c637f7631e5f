// Package freeport finds ports for servers of tests which bind to them later,
// or leave them and come back.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Below the ports that systems give away by themselves, from 32768 on (Linux)
// or 49152 (RFC 6335, section 6): one of those may be another listener's, or the
// near end of a connection, by the time that it is bound to.
const (
	lowest = 10_000
	count  = 20_000
)

// Find returns n ports that are not in use on any of the addresses.
func Find(n int, addresses ...string) ([]int, error) {
	var ports []int
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := lowest + rand.IntN(count)
		listeners, err := listen(port, addresses)
		// Until all are found, so that none of them is found twice.
		defer closeAll(listeners)
		if err == nil {
			ports = append(ports, port)
		}
	}
	return nil, fmt.Errorf("freeport: found %d of %d ports that are free on all of %v", len(ports), n, addresses)
}

func listen(port int, addresses []string) (open []net.Listener, err error) {
	for _, a := range addresses {
		l, err := net.Listen("tcp", net.JoinHostPort(a, strconv.Itoa(port)))
		if err != nil {
			return open, err
		}
		open = append(open, l)
	}
	return open, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close() // it took no connection
	}
}

// Local is an address of this machine alone, host:port, that is not in use.
func Local() (string, error) {
	const host = "127.0.0.1"
	ports, err := Find(1, host)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(ports[0])), nil
}
