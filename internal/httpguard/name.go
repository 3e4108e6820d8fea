package httpguard

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Named says that a request calls this server by a name it has: one of those given,
// as [HostName] returns them, a loopback name, or the very address that the request
// came in by. Ports are not compared, so that a tunnel may have another. It keeps
// a page of another site, whose name was made to point here, from reading answers.
func Named(r *http.Request, names []string) bool {
	name := HostName(r.Host)
	if name == "localhost" || slices.Contains(names, name) {
		return true
	}
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	if addr.IsLoopback() {
		return true
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return local != nil && local.AddrPort().Addr().Unmap() == addr.Unmap()
}

// HostName is a host without port, brackets and last dot, in lower case.
func HostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// Address refuses what is no address to listen at, and says whether others than
// this machine can reach it.
func Address(addr string) (public bool, err error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false, fmt.Errorf("address %q: %w: want HOST:PORT, such as 127.0.0.1:8787", addr, err)
	}
	if strings.EqualFold(host, "localhost") {
		return false, nil
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback(), nil
}
