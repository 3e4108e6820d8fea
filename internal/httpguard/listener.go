package httpguard

import (
	"net"
	"net/netip"
	"sync"
)

// Limit returns a listener that has so many connections at once, and so many from
// one address that is not of this machine. Those beyond are closed as they come.
func Limit(l net.Listener, all, address int) net.Listener {
	return &limited{Listener: l, most: all, mostAddress: address, from: map[netip.Addr]int{}}
}

type limited struct {
	net.Listener
	most, mostAddress int

	mu   sync.Mutex
	all  int
	from map[netip.Addr]int
}

// Accept returns the next connection within the limits.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr := remote(c)
		if l.enter(addr) {
			return &counted{Conn: c, leave: sync.OnceFunc(func() { l.leave(addr) })}, nil
		}
		c.Close()
	}
}

func remote(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func (l *limited) enter(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.most || !a.IsLoopback() && l.from[a] >= l.mostAddress {
		return false
	}
	l.all++
	l.from[a]++
	return true
}

func (l *limited) leave(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.from[a]--; l.from[a] == 0 {
		delete(l.from, a)
	}
}

// counted is a connection that counts until it is closed.
type counted struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
