package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/temper-ml/temper/internal/httpguard"
	"github.com/temper-ml/temper/serve/answer"
)

// Server answers requests with a model.
type Server struct {
	m       *answer.Model
	o       Options
	times   times
	context int // tokens of a sequence
	mux     *http.ServeMux
	turns   chan struct{} // one for each request that is decoded
	bodies  atomic.Int64  // bytes of requests that are being read
	started time.Time
	metrics metrics

	life context.Context // of all answers
	end  context.CancelCauseFunc

	mu       sync.Mutex
	active   int  // answers under way
	draining bool // no new ones
	idle     chan struct{}
}

// Reasons for which all answers end.
var (
	errStopping = &failure{status: http.StatusServiceUnavailable, message: "the server is being stopped", code: "server_stopping"}
	errBroken   = &failure{status: http.StatusInternalServerError, message: "the engine failed; the server's log says why", code: "engine_failed"}
)

// New returns a server of a model, whose engine somebody must step: see
// [Server.Run].
func New(m *answer.Model, o Options) (*Server, error) {
	s := &Server{m: m, o: o, times: usualTimes, context: m.Engine().Options().Context, turns: make(chan struct{}, runtime.GOMAXPROCS(0)), idle: make(chan struct{})}
	if err := s.o.fill(s.context); err != nil {
		return nil, err
	}
	s.o.MaxChoices = min(s.o.MaxChoices, m.Engine().Options().Queue) // more would never find room
	s.started = s.o.Now()
	s.life, s.end = context.WithCancelCause(context.Background())
	s.mux = http.NewServeMux()
	s.mux.HandleFunc("GET /health", s.health)
	s.mux.HandleFunc("GET /metrics", s.metricsPage)
	s.mux.HandleFunc("GET /v1/models", s.models)
	s.mux.HandleFunc("GET /v1/models/{id...}", s.model)
	s.mux.HandleFunc("POST /v1/chat/completions", s.endpoint("chat", s.decodeChat))
	s.mux.HandleFunc("POST /v1/completions", s.endpoint("text", s.decodeText))
	s.mux.HandleFunc("/", s.nothing)
	return s, nil
}

// Run serves at a listener until the context ends, and lets work go on meanwhile,
// which steps the engine until its context ends. Then nobody new is served, what
// runs has a time of grace, and the rest is cancelled. When Run returns, work has.
func (s *Server) Run(ctx context.Context, l net.Listener, work func(context.Context) error) error {
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: s.times.header, IdleTimeout: s.times.idle, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(io.Discard, "", 0), // what clients do wrong
	}
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	worked, served := make(chan error, 1), make(chan error, 1)
	go func() { worked <- work(working) }()
	go func() { served <- server.Serve(httpguard.Limit(l, maxConns, maxConnsAddress)) }()
	go s.metrics.watch(s.life, s.m.Engine())
	var failed error
	select {
	case failed = <-served:
		served <- nil
	case failed = <-worked:
		failed = fmt.Errorf("serve: the engine failed: %w", orUnexpected(failed))
		s.o.Log.Error("the engine failed", "error", failed)
		s.drain()
		s.end(errBroken)
		worked <- nil
	case <-ctx.Done():
		failed = s.wait(worked)
	}
	s.end(errStopping)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.times.last)
	defer cancel()
	if server.Shutdown(last) != nil {
		server.Close()
	}
	<-served
	stopWork()
	if err := <-worked; failed == nil && err != nil && !errors.Is(err, context.Canceled) {
		failed = err
	}
	return failed
}

func orUnexpected(err error) error {
	if err == nil {
		return errors.New("it ended")
	}
	return err
}

// wait lets what runs end, for a while.
func (s *Server) wait(worked chan error) error {
	idle := s.drain()
	s.o.Log.Info("stopping", "running", s.m.Engine().Stats().Running, "grace", s.o.Grace)
	grace := time.NewTimer(max(0, s.o.Grace))
	defer grace.Stop()
	select {
	case <-idle:
	case <-grace.C:
	case <-s.life.Done():
	case err := <-worked:
		s.end(errBroken)
		worked <- nil
		return fmt.Errorf("serve: the engine failed: %w", orUnexpected(err))
	}
	return nil
}

// Hurry cancels everything at once: there is no more grace.
func (s *Server) Hurry() { s.end(errStopping) }

// drain refuses new answers, and returns what is closed when none is under way.
func (s *Server) drain() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining {
		s.draining = true
		if s.active == 0 {
			close(s.idle)
		}
	}
	return s.idle
}

// enter counts an answer that begins, unless there may be no more.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.active++
	return true
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active--; s.active == 0 && s.draining {
		close(s.idle)
	}
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a value
			s.o.Log.Error("a request was not survived", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			panic(http.ErrAbortHandler) // the connection ends
		}
	}()
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	// Nobody takes longer to send a request, or to take a short answer.
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(s.times.body))
	_ = rc.SetWriteDeadline(time.Now().Add(s.times.body + s.times.write))
	if f := s.permit(r); f != nil {
		s.refuse(w, r, f)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// nothing answers what is not there.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	f := &failure{status: http.StatusNotFound, code: "unknown_url", message: fmt.Sprintf("there is no %s %s here: see /v1/models, /v1/chat/completions, /v1/completions, /health and /metrics", cut(r.Method), cut(r.URL.Path))}
	switch r.URL.Path {
	case "/v1/chat/completions", "/v1/completions":
		w.Header().Set("Allow", "POST")
		f.status, f.message = http.StatusMethodNotAllowed, "use POST"
	case "/v1/models", "/health", "/metrics":
		w.Header().Set("Allow", "GET, HEAD")
		f.status, f.message = http.StatusMethodNotAllowed, "use GET"
	}
	s.refuse(w, r, f)
}

// health says whether requests are taken.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	draining := s.draining
	s.mu.Unlock()
	if draining {
		sendJSON(w, http.StatusServiceUnavailable, []byte(`{"status":"stopping"}`))
		return
	}
	sendJSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
}

// described is the model as clients see it.
func (s *Server) described(name string) map[string]any {
	return map[string]any{"id": name, "object": "model", "created": s.started.Unix(), "owned_by": "temper", "max_model_len": s.context}
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	list := []any{}
	for _, name := range s.o.Names {
		list = append(list, s.described(name))
	}
	sendJSON(w, http.StatusOK, encode(map[string]any{"object": "list", "data": list}))
}

func (s *Server) model(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if f := s.known(id); f != nil {
		f.send(w)
		return
	}
	sendJSON(w, http.StatusOK, encode(s.described(id)))
}

// known refuses a model that is not this one.
func (s *Server) known(name string) *failure {
	for _, n := range s.o.Names {
		if n == name {
			return nil
		}
	}
	return &failure{status: http.StatusNotFound, param: "model", code: "model_not_found", message: fmt.Sprintf("the model %q does not exist here: use %q", cut(name), s.o.Names[0])}
}
