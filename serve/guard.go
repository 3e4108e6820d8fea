package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/temper-ml/temper/internal/httpguard"
)

// permit refuses who may not ask.
func (s *Server) permit(r *http.Request) *failure {
	switch {
	case r.URL.Path == "/health":
		return nil
	case s.o.Token == "" && !httpguard.Named(r, s.o.Hosts):
		return &failure{status: http.StatusMisdirectedRequest, code: "unknown_host", message: "this server is not called by that name; --host NAME allows one more, and with a token any will do"}
	case s.o.Token != "" && !sameToken(r.Header.Get("Authorization"), s.o.Token):
		return &failure{status: http.StatusUnauthorized, code: "invalid_api_key", message: "the request needs the header Authorization: Bearer TOKEN with the server's token"}
	}
	return nil
}

// sameToken compares in a time that tells nothing of the token.
func sameToken(header, token string) bool {
	scheme, given, _ := strings.Cut(header, " ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && strings.EqualFold(scheme, "bearer")
}

// admit refuses what cannot be taken, before its body is read.
func (s *Server) admit(r *http.Request) *failure {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &failure{status: http.StatusUnsupportedMediaType, message: "the request needs the header Content-Type: application/json"}
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return &failure{status: http.StatusUnsupportedMediaType, message: "compressed requests are not read"}
	}
	if r.ContentLength > s.o.MaxBody {
		return s.tooLarge()
	}
	if st, queue := s.m.Engine().Stats(), s.m.Engine().Options().Queue; st.Waiting >= queue {
		return s.full(fmt.Sprintf("%d requests run and %d wait, which is the most", st.Running, st.Waiting))
	}
	return nil
}

func (s *Server) tooLarge() *failure {
	return &failure{status: http.StatusRequestEntityTooLarge, code: "request_too_large", message: fmt.Sprintf("the request is larger than %d bytes, which the context of %d tokens cannot need", s.o.MaxBody, s.context)}
}

// full refuses a request that may come again.
func (s *Server) full(why string) *failure {
	return &failure{status: http.StatusTooManyRequests, code: "queue_full", message: why + ": ask again later", retry: s.metrics.wait(s.m.Engine().Stats().Waiting)}
}

// read returns the body of a request, and what releases the bytes that it counts
// for.
func (s *Server) read(w http.ResponseWriter, r *http.Request) (body []byte, release func(), f *failure) {
	size := r.ContentLength
	if size < 0 {
		size = s.o.MaxBody
	}
	release = func() { s.bodies.Add(-size) }
	if s.bodies.Add(size) > s.o.MaxBodies {
		release()
		return nil, nil, &failure{status: http.StatusTooManyRequests, code: "too_many_bytes", message: "too many bytes of requests are being read: ask again later", retry: time.Second}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.o.MaxBody))
	var large *http.MaxBytesError
	switch {
	case err == nil:
		// An answer may take longer than a request.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return body, release, nil
	case errors.As(err, &large):
		f = s.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		f = &failure{status: http.StatusRequestTimeout, message: fmt.Sprintf("the request did not arrive within %v", s.times.body)}
	default:
		f = &failure{status: http.StatusBadRequest, message: "the request could not be read to its end"}
	}
	release()
	return nil, nil, f
}

// maxLinger is how many bytes a refused client may still send.
const maxLinger = 256 << 20

// refuse answers with an error before the body was read, and gives the connection
// up. A client that is still sending gets a moment to see why.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, f *failure) {
	if r.ContentLength == 0 {
		f.send(w)
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex()
	_ = rc.SetReadDeadline(time.Now().Add(s.times.linger))
	_ = rc.SetWriteDeadline(time.Now().Add(s.times.write))
	w.Header().Set("Connection", "close")
	f.send(w)
	if rc.Flush() == nil && r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, maxLinger)
	}
}
