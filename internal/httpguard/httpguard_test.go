package httpguard

import (
	"net"
	"strings"
	"testing"
)

func TestConnectionsOfOneAddressAreLimited(t *testing.T) {
	l := Limit(nil, 5, 3).(*limited)
	addr := remote(&fakeConn{})
	for i := range 4 {
		if ok := l.enter(addr); ok != (i < 3) {
			t.Errorf("connection %d of one address: %v", i, ok)
		}
	}
	l.leave(addr)
	if !l.enter(addr) {
		t.Error("a place that was left is not given away")
	}
	local := remote(&fakeConn{local: true})
	for i := range 3 {
		if ok := l.enter(local); ok != (i < 2) {
			t.Errorf("connection %d of this machine: %v", i, ok)
		}
	}
}

// fakeConn is a connection from elsewhere.
type fakeConn struct {
	net.Conn
	local bool
}

func (c *fakeConn) RemoteAddr() net.Addr {
	if c.local {
		return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	}
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
}

func TestAddress(t *testing.T) {
	for addr, public := range map[string]bool{
		"127.0.0.1:8787": false, "[::1]:1": false, "localhost:0": false, "0.0.0.0:1": true, ":8787": true, "[::]:1": true, "10.0.0.1:1": true, "box:1": true,
	} {
		if got, err := Address(addr); err != nil || got != public {
			t.Errorf("%s: %v, %v", addr, got, err)
		}
	}
	if _, err := Address("8787"); err == nil || !strings.Contains(err.Error(), "want HOST:PORT") {
		t.Error(err)
	}
}
