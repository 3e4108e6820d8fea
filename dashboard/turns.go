package dashboard

import (
	"bytes"
	"net/http"
)

// maxTurns is how many answers are computed at once: whoever asks a lot takes
// no more of a machine that may be training.
const maxTurns = 2

// turn computes an answer when it is its turn, and sends it afterwards, so that
// a client that reads slowly takes nobody's turn.
func (s *Server) turn(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.turns <- struct{}{}:
		case <-r.Context().Done():
			return
		}
		k := kept{ResponseWriter: w, status: http.StatusOK}
		func() {
			defer func() { <-s.turns }()
			answer(&k, r)
		}()
		w.WriteHeader(k.status)
		_, _ = w.Write(k.body.Bytes())
	}
}

// kept is an answer that is not sent yet.
type kept struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader keeps the status.
func (k *kept) WriteHeader(status int) { k.status = status }

// Write keeps a part of the answer.
func (k *kept) Write(b []byte) (int, error) { return k.body.Write(b) }
