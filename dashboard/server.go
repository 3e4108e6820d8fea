package dashboard

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/temper-ml/temper/internal/httpguard"
)

// Options say what is served and to whom.
type Options struct {
	// Dir is the directory of runs, or a run. It may appear later.
	Dir string
	// Hosts are names that the server is called by beside those of its address.
	Hosts []string
	// Memory is how many bytes the numbers of all runs may take, 0 for 512 MiB.
	Memory int64
	// Now is the clock, nil the machine's.
	Now func() time.Time
	// Refreshed, if not nil, is called after each look at the runs.
	Refreshed func()
}

// times are limits of time, so that a slow client holds nothing up.
type times struct {
	header, read, write, idle time.Duration
	stop                      time.Duration // for requests under way at the end
	beat                      time.Duration // of a stream without changes
}

var usualTimes = times{
	header: 5 * time.Second, read: 10 * time.Second, write: 30 * time.Second, idle: 60 * time.Second,
	stop: 3 * time.Second, beat: 15 * time.Second,
}

// How many connections are served at once, and from one address that is not of
// this machine.
const (
	maxConns        = 256
	maxConnsAddress = 48
)

// maxHeader is how many bytes the head of a request has.
const maxHeader = 16 << 10

//go:embed assets
var assets embed.FS

// Server answers requests about the runs of a directory.
type Server struct {
	hub     *hub
	guard   *guard
	files   map[string]asset
	turns   chan struct{} // one for each answer that is computed
	stopped chan struct{} // closed when streams must end
	times   times
}

// asset is a file that pages load.
type asset struct {
	body []byte
	kind string
	tag  string
}

// NewServer prepares a server. Nothing is read before [Server.Run].
func NewServer(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Memory == 0 {
		o.Memory = 512 << 20
	}
	s := &Server{hub: newHub(o.Dir, o.Memory, o.Now), files: loadAssets(), turns: make(chan struct{}, maxTurns), stopped: make(chan struct{}), times: usualTimes}
	s.hub.refreshed = o.Refreshed
	names := []string{}
	for _, h := range o.Hosts {
		names = append(names, httpguard.HostName(h))
	}
	s.guard = &guard{names: names, next: s.routes()}
	return s
}

// kinds are the types of assets by the ends of their names.
var kinds = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", "": "text/plain; charset=utf-8",
}

func loadAssets() map[string]asset {
	files := map[string]asset{}
	_ = fs.WalkDir(assets, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) == ".tmpl" {
			return err
		}
		b, err := assets.ReadFile(name)
		sum := sha256.Sum256(b)
		files["/"+name] = asset{b, kinds[path.Ext(name)], `"` + hex.EncodeToString(sum[:8]) + `"`}
		return err
	})
	return files
}

// routes are all addresses. None is a path of the disk.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.turn(s.listPage))
	mux.HandleFunc("GET /runs/{id}", s.turn(s.runPage))
	mux.HandleFunc("GET /runs/{id}/experts", s.turn(s.expertsPage))
	mux.HandleFunc("GET /compare", s.turn(s.comparePage))
	mux.HandleFunc("GET /api/runs/{id}/series", s.turn(s.series))
	mux.HandleFunc("GET /api/runs/{id}/routing", s.turn(s.routing))
	mux.HandleFunc("GET /events", s.stream)
	mux.HandleFunc("GET /metrics", s.turn(s.metrics))
	mux.HandleFunc("GET /assets/", s.asset)
	mux.HandleFunc("/", s.nothing)
	return mux
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.guard.ServeHTTP(w, r) }

// Run follows the runs and serves them at a listener until the context ends.
// Then requests under way get a moment to finish.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: s.times.header, ReadTimeout: s.times.read, WriteTimeout: s.times.write, IdleTimeout: s.times.idle,
		MaxHeaderBytes: maxHeader, ErrorLog: silent(),
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	watched := make(chan struct{})
	go func() { defer close(watched); s.hub.watch(following) }()
	served := make(chan error, 1)
	go func() { served <- server.Serve(httpguard.Limit(l, maxConns, maxConnsAddress)) }()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		close(s.stopped)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.times.stop)
		defer cancel()
		if server.Shutdown(last) != nil {
			server.Close()
		}
		err = <-served
	}
	stop()
	<-watched
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// asset answers with a file of the program.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	a, ok := s.files[r.URL.Path]
	if !ok {
		s.nothing(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", a.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}

// nothing answers what is not there, in words for a person.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	s.page(w, r, http.StatusNotFound, "error", layout{Title: "Not found", Body: "There is no such page, or the run is no longer in the directory."})
}

// page answers with a template.
func (s *Server) page(w http.ResponseWriter, r *http.Request, status int, name string, l layout) {
	var b bytes.Buffer
	l.Name, l.Now = name, s.hub.now().UnixMilli()
	if err := templates.ExecuteTemplate(&b, "layout", l); err != nil {
		refuse(w, http.StatusInternalServerError, "the page could not be made")
		return
	}
	send(w, r, status, "text/html; charset=utf-8", b.Bytes())
}

// json answers a program.
func (s *Server) json(w http.ResponseWriter, r *http.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "the answer could not be made")
		return
	}
	send(w, r, http.StatusOK, "application/json", b)
}

// send answers with bytes, compressed where that is understood.
func send(w http.ResponseWriter, r *http.Request, status int, kind string, b []byte) {
	b = withhold(b)
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Vary", "Accept-Encoding")
	if len(b) > 4<<10 && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		var z bytes.Buffer
		zw, _ := gzip.NewWriterLevel(&z, gzip.BestSpeed)
		_, _ = zw.Write(b) // to memory
		_ = zw.Close()
		w.Header().Set("Content-Encoding", "gzip")
		b = z.Bytes()
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b)
	}
}
