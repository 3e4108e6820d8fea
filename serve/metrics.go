package serve

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/temper-ml/temper/internal/promtext"
	"github.com/temper-ml/temper/serve/answer"
)

// metrics count what is served.
type metrics struct {
	mu       sync.Mutex
	requests map[outcome]int64
	whole    promtext.Buckets // seconds of requests that were answered
	first    promtext.Buckets // until the first text
	token    promtext.Buckets // a token, after the first
	recent   time.Duration    // mean of the last requests
	rate     float64          // tokens a second, of the last seconds
}

// outcome is what became of requests.
type outcome struct {
	kind   string
	status int
}

var (
	secondBounds = []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
	tokenBounds  = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1}
)

// firstText counts the time until the first text of a request.
func (m *metrics) firstText(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.first.Bounds = secondBounds
	m.first.Add(d.Seconds())
}

// finished counts a request: writing is the time from its first text on, in which
// its answers got tokens.
func (m *metrics) finished(kind string, status int, took, writing time.Duration, tokens, answers int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.requests == nil {
		m.requests = map[outcome]int64{}
	}
	m.requests[outcome{kind, status}]++
	if status != http.StatusOK {
		return
	}
	m.whole.Bounds, m.token.Bounds = secondBounds, tokenBounds
	m.whole.Add(took.Seconds())
	if tokens > answers {
		m.token.Add(writing.Seconds() * float64(answers) / float64(tokens-answers))
	}
	if m.recent == 0 {
		m.recent = took
	}
	m.recent += (took - m.recent) / 16
}

// wait is how long a client that was refused should wait: a request's time for
// those before it, within reason.
func (m *metrics) wait(waiting int) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return min(max(m.recent*time.Duration(1+waiting/16), time.Second), 30*time.Second)
}

// watched is over how many seconds the rate of tokens is measured.
const watched = 10

// watch measures the rate of tokens until the context ends.
func (m *metrics) watch(ctx context.Context, e answer.Engine) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var ring [watched]int64
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := e.Stats().Generated
		before := ring[i%watched]
		ring[i%watched] = now
		m.mu.Lock()
		m.rate = float64(now-before) / float64(min(i+1, watched))
		m.mu.Unlock()
	}
}

// metricsPage answers Prometheus.
func (s *Server) metricsPage(w http.ResponseWriter, _ *http.Request) {
	x := promtext.New()
	st := s.m.Engine().Stats()
	gauge := func(name, help string, v float64) { x.Put("temper_serve_"+name, promtext.Gauge, help, v) }
	total := func(name, help string, v int64) {
		x.Put("temper_serve_"+name+"_total", promtext.Counter, help, float64(v))
	}
	gauge("queue", "Answers that wait.", float64(st.Waiting))
	gauge("queue_limit", "Answers that may wait.", float64(s.m.Engine().Options().Queue))
	gauge("running", "Answers that are written.", float64(st.Running))
	gauge("running_limit", "Answers that may be written at a time.", float64(s.m.Engine().Options().Sequences))
	gauge("cache_pages", "Pages of the cache.", float64(st.Pages))
	gauge("cache_free_pages", "Free pages of the cache; what is kept for later can be given up besides.", float64(st.FreePages))
	gauge("cache_bytes", "Memory that the cache took so far.", float64(st.CacheBytes))
	gauge("snapshots", "Beginnings of conversations and prompts that are kept in the cache.", float64(st.Snapshots))
	total("evicted_snapshots", "Snapshots that were given up for room.", st.Evicted)
	total("steps", "Passes through the model.", st.Steps)
	total("prompt_tokens", "Tokens of prompts that went through the model.", st.PromptTokens)
	total("shared_tokens", "Tokens of prompts that were in the cache.", st.SharedTokens)
	total("generated_tokens", "Tokens written.", st.Generated)
	total("drafted_tokens", "Tokens guessed ahead.", st.Drafted)
	total("accepted_tokens", "Guesses that were right.", st.Accepted)
	s.metrics.put(x)
	var b bytes.Buffer
	if err := x.Write(&b); err != nil {
		(&failure{status: http.StatusInternalServerError, message: err.Error()}).send(w)
		return
	}
	w.Header().Set("Content-Type", promtext.ContentType)
	_, _ = w.Write(b.Bytes())
}

func (m *metrics) put(x *promtext.Text) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x.Put("temper_serve_tokens_per_second", promtext.Gauge, "Tokens written a second, over the last seconds.", m.rate)
	outcomes := make([]outcome, 0, len(m.requests))
	for o := range m.requests {
		outcomes = append(outcomes, o)
	}
	slices.SortFunc(outcomes, func(a, b outcome) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.status, b.status))
	})
	for _, o := range outcomes {
		x.Put("temper_serve_requests_total", promtext.Counter, "Requests by endpoint and HTTP status; 499: the client went away.", float64(m.requests[o]), "endpoint", o.kind, "status", strconv.Itoa(o.status))
	}
	m.whole.Bounds, m.first.Bounds, m.token.Bounds = secondBounds, secondBounds, tokenBounds
	x.PutBuckets("temper_serve_request_seconds", "Time of requests that were answered.", &m.whole)
	x.PutBuckets("temper_serve_first_text_seconds", "Time until the first text of a request.", &m.first)
	x.PutBuckets("temper_serve_token_seconds", "Mean time of a token of a request, after its first text.", &m.token)
}
