package freeport

import (
	"net"
	"strconv"
	"testing"
)

func TestPortsThatAreFoundAreFreeAndDiffer(t *testing.T) {
	ports, err := Find(20, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)) // fails the second time
		if err != nil {
			t.Errorf("%d of %v: %v", port, ports, err)
			continue
		}
		t.Cleanup(func() { _ = l.Close() })
	}
}

func TestNoPortIsFreeWhereNobodyCanListen(t *testing.T) {
	if ports, err := Find(1, "127.0.0.1", "192.0.2.1"); err == nil { // RFC 5737: no machine has it
		t.Errorf("found %v", ports)
	}
}

func TestLocalAddressCanBeListenedOn(t *testing.T) {
	address, err := Local()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}
