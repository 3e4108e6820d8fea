package dashboard

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"time"
)

// maxStream is how long one stream lasts; a page opens a new one by itself.
const maxStream = time.Hour

// silent drops what net/http has to say about clients: whoever may connect
// could fill the log.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }

// changes is an event of a stream: the runs that changed, and whether the list
// of runs did.
type changes struct {
	Runs []string `json:"runs"`
	List bool     `json:"list"`
}

// stream tells a page what changes, as server-sent events.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	only := r.URL.Query()["run"]
	c := s.hub.events.add()
	if c == nil {
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("%d pages are open already: this one asks now and then instead", maxStreams))
		return
	}
	defer s.hub.events.remove(c)
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	if r.Method == http.MethodHead {
		return
	}
	write := func(text string) bool {
		if control.SetWriteDeadline(time.Now().Add(s.times.read)) != nil {
			return false
		}
		if _, err := io.WriteString(w, text); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	_ = control.SetReadDeadline(time.Time{})
	ok := write("retry: 3000\n\n")
	end := time.NewTimer(maxStream)
	defer end.Stop()
	beat := time.NewTicker(s.times.beat)
	defer beat.Stop()
	for ok {
		select {
		case <-r.Context().Done():
			return
		case <-s.stopped:
			return
		case <-end.C:
			return
		case <-beat.C:
			ok = write(":\n\n")
		case <-c.wake:
			if text := c.event(only); text != "" {
				ok = write(text) && s.rest(r)
			}
		}
	}
}

// rest is the least time between two events of a stream.
func (s *Server) rest(r *http.Request) bool {
	select {
	case <-r.Context().Done():
		return false
	case <-s.stopped:
		return false
	case <-time.After(s.times.beat / 30):
		return true
	}
}

// event is what changed as an event, "" if nothing did that is wanted.
func (c *subscriber) event(only []string) string {
	ch := changes{Runs: []string{}}
	for _, id := range c.take() {
		switch {
		case id == "":
			ch.List = true
		case len(only) == 0 || slices.Contains(only, id):
			ch.Runs = append(ch.Runs, id)
		}
	}
	if len(ch.Runs) == 0 && !ch.List {
		return ""
	}
	b, err := json.Marshal(ch)
	if err != nil {
		return ""
	}
	return "event: changes\ndata: " + string(b) + "\n\n"
}
