package generate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

// models are those of every family, of odd sizes.
func models(t testing.TB) map[string]*deepseek.Model {
	out := map[string]*deepseek.Model{}
	for name, cfg := range map[string]*arch.Config{"v4": deepseektest.SmallV4(), "v3": deepseektest.SmallV3()} {
		cfg.MaxPositions = 90
		out[name] = randomModel(t, cfg)
	}
	return out
}

func randomModel(t testing.TB, cfg *arch.Config) *deepseek.Model {
	t.Helper()
	m, err := deepseek.NewFrozen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range deepseektest.RandomParams(cfg, 9) {
		p := m.Param(name)
		for i, v := range values {
			p.Data[i] = float32(v)
		}
	}
	return m
}

// slowly generates with whole passes only.
func slowly(t testing.TB, m *deepseek.Model, r Request) ([]int32, Reason) {
	t.Helper()
	s := &Stream{req: r, numbers: r.numbers(), limit: min(m.Config().MaxPositions, len(r.Prompt)+r.MaxTokens)}
	s.tokens = slices.Clone(r.Prompt)
	var d drawer
	for s.end == Running {
		logits, err := m.LastLogits(s.tokens, []deepseek.Segment{{Start: 0, End: len(s.tokens)}})
		if err != nil {
			t.Fatal(err)
		}
		s.add(d.token(s, logits), []int32{int32(m.Config().EOS)})
	}
	return s.tokens, s.end
}

// logProbs returns those of a training pass, of the tokens after the prompt.
func logProbs(t testing.TB, m *deepseek.Model, tokens []int32, prompt int) []float32 {
	t.Helper()
	n := len(tokens) - 1
	b := &deepseek.Batch{Tokens: tokens[:n], Labels: slices.Clone(tokens[1:]), Segments: []deepseek.Segment{{Start: 0, End: n}}}
	p, err := m.LogProbs(b)
	if err != nil {
		t.Fatal(err)
	}
	return p[prompt-1:]
}

func randomRequests(m *deepseek.Model, seed uint64, n int) []Request {
	s, i := detrand.Key(seed, "requests"), uint64(0)
	roll := func(n int) int { i++; return int(s.Uint64nAt(i, uint64(n))) }
	var rs []Request
	for len(rs) < n {
		r := Request{MaxTokens: 1 + roll(30), IgnoreEOS: roll(2) == 0, Routing: roll(3) > 0, ExpertsOnly: roll(3) == 0}
		for range 1 + roll(40) {
			r.Prompt = append(r.Prompt, int32(roll(m.Config().VocabSize)))
		}
		r.Temperature = []float32{0, 0.5, 1, 1.5}[roll(4)]
		r.TopK, r.TopP = []int{0, 0, 3}[roll(3)], []float32{0, 1, 0.8}[roll(3)]
		r.Seed, r.Prompt[0] = uint64(roll(3)), int32(roll(m.Config().VocabSize))
		if roll(3) == 0 {
			r.Stop = [][]int32{{int32(roll(19))}, {int32(roll(19)), int32(roll(19))}}
		}
		r.Sampling.Prompt = uint64(len(rs))
		for k := range 1 + roll(4) {
			r.Sample = uint64(k)
			rs = append(rs, r)
		}
	}
	return rs[:n]
}

// checkResults holds results to those of whole passes.
func checkResults(t testing.TB, m *deepseek.Model, rs []Request, got []Result, want [][]int32, reasons []Reason) {
	t.Helper()
	for i, r := range got {
		tokens := slices.Clone(rs[i].Prompt)
		for j, k := range r.Tokens {
			if k.Position != len(tokens) {
				t.Fatalf("request %d: token %d is at %d, want %d", i, j, k.Position, len(tokens))
			}
			tokens = append(tokens, k.ID)
		}
		if r.Err != nil || r.Reason != reasons[i] || !slices.Equal(tokens, want[i]) {
			t.Fatalf("request %d: %v (%v, %v), want %v (%v)", i, tokens, r.Reason, r.Err, want[i], reasons[i])
		}
		for j, p := range logProbs(t, m, tokens, len(rs[i].Prompt)) {
			if k := r.Tokens[j]; math.Float32bits(p) != math.Float32bits(k.LogProb) {
				t.Fatalf("request %d: log-probability %d is %v, the trainer's %v", i, j, k.LogProb, p)
			}
		}
	}
}

// routesOf returns the choices of a pass over a whole sequence.
func routesOf(t testing.TB, m *deepseek.Model, tokens []int32) *deepseek.Routes {
	t.Helper()
	c, err := m.NewCache(deepseek.CacheOptions{Bytes: 1 << 26})
	if err != nil {
		t.Fatal(err)
	}
	s := c.NewSequence()
	s.Routes = m.NewRoutes()
	if err := c.Extend([]deepseek.Extension{{Sequence: s, Tokens: tokens}}, nil); err != nil {
		t.Fatal(err)
	}
	return s.Routes
}

// checkRoutes holds recorded choices to those of whole passes. They are what training
// replays: see the tests of package deepseek.
func checkRoutes(t testing.TB, m *deepseek.Model, rs []Request, got []Result, tokens [][]int32, want []*deepseek.Routes) {
	t.Helper()
	for i, r := range got {
		routes := want[i]
		switch {
		case !rs[i].Routing:
			routes = nil
		case rs[i].ExpertsOnly:
			routes = routes.WithoutPicks()
		}
		if !reflect.DeepEqual(r.Routes, routes) {
			t.Fatalf("request %d: routes %v, want %v", i, r.Routes, routes)
		}
		if routes == nil {
			continue
		}
		if err := m.CheckRoutes(r.Routes, tokens[i]); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
}

// TestEngineEqualsWholePasses: whatever runs together, in whatever chunks, with
// or without drafts, tokens and routes are those of whole passes over each sequence
// alone.
func TestEngineEqualsWholePasses(t *testing.T) {
	for name, m := range models(t) {
		t.Run(name, func(t *testing.T) {
			rs := randomRequests(m, 1, 14)
			want, reasons, routes := make([][]int32, len(rs)), make([]Reason, len(rs)), make([]*deepseek.Routes, len(rs))
			for i, r := range rs {
				want[i], reasons[i] = slowly(t, m, r)
				routes[i] = routesOf(t, m, want[i][:len(want[i])-1])
			}
			rapid.Check(t, func(rt *rapid.T) {
				o := Options{Sequences: rapid.IntRange(1, 9).Draw(rt, "sequences"), Speculate: rapid.Bool().Draw(rt, "speculate"), Latent: rapid.Bool().Draw(rt, "latent")}
				o.Queue = rapid.IntRange(1, 30).Draw(rt, "queue")
				o.StepTokens = 2*o.Sequences + rapid.IntRange(1, 40).Draw(rt, "step tokens")
				if rapid.Bool().Draw(rt, "tight") {
					size, err := deepseek.CacheSizeOf(m.Config(), o.cache())
					if err != nil {
						rt.Fatal(err)
					}
					o.CacheBytes = int64(2*size.Pages(90)+rapid.IntRange(0, 40).Draw(rt, "pages")) * size.PageBytes
				}
				e, err := New(m, o)
				if err != nil {
					rt.Fatal(err)
				}
				got, err := e.Run(context.Background(), rs, nil)
				if err != nil {
					rt.Fatal(err)
				}
				checkResults(t, m, rs, got, want, reasons)
				checkRoutes(t, m, rs, got, want, routes)
				if st := e.Stats(); st.FreePages != st.Pages || !e.empty() || st.Finished != int64(len(rs)) {
					rt.Fatalf("after the end: %+v, %d snapshots, trees %v", st, len(e.kept), e.trees)
				}
			})
		})
	}
}

// TestSpeculationIsExact counts over many seeds: the same answers, and drafts
// that were right save passes.
func TestSpeculationIsExact(t *testing.T) {
	for name, m := range models(t) {
		for _, temperature := range []float32{0, 0.4, 1, 2} {
			var rs []Request
			for seed := range uint64(40) {
				rs = append(rs, Request{
					Prompt: []int32{int32(seed % 19), 3, int32(seed * 7 % 19)}, MaxTokens: 30, IgnoreEOS: true,
					Sampling: Sampling{Temperature: temperature, Seed: seed},
				})
			}
			var results [2][]Result
			var stats [2]Stats
			for i := range results {
				e, err := New(m, Options{Speculate: i == 1})
				if err != nil {
					t.Fatal(err)
				}
				if results[i], err = e.Run(context.Background(), rs, nil); err != nil {
					t.Fatal(err)
				}
				stats[i] = e.Stats()
			}
			if got, want := fmt.Sprint(results[1]), fmt.Sprint(results[0]); got != want {
				t.Errorf("%s, temperature %v: other tokens with speculation", name, temperature)
			}
			s := stats[1]
			if s.Accepted == 0 || s.Accepted > s.Drafted || s.Steps >= stats[0].Steps {
				t.Errorf("%s, temperature %v: %d of %d drafts accepted, %d passes against %d", name, temperature, s.Accepted, s.Drafted, s.Steps, stats[0].Steps)
			}
			t.Logf("%s, temperature %v: %d of %d drafts accepted", name, temperature, s.Accepted, s.Drafted)
		}
	}
}

// TestGroupsShareTheirPrompt: the prompt of a group goes through the model once.
func TestGroupsShareTheirPrompt(t *testing.T) {
	m := models(t)["v4"]
	prompt := []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 3, 5, 7}
	var rs []Request
	for i := range uint64(8) {
		rs = append(rs, Request{Prompt: prompt, MaxTokens: 5, Sampling: Sampling{Temperature: 1, Sample: i}, Routing: true})
	}
	e, err := New(m, Options{Sequences: 4})
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Run(context.Background(), rs, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s := e.Stats(); s.PromptTokens != int64(len(prompt)) || s.SharedTokens != 7*int64(len(prompt)) {
		t.Errorf("%d prompt tokens went through the model, %d were shared, want %d and %d", s.PromptTokens, s.SharedTokens, len(prompt), 7*len(prompt))
	}
	for i, r := range got {
		if n := len(prompt) + len(r.Tokens) - 1; len(r.Routes.Experts[2]) != n*m.Config().TopK || len(r.Routes.Starts[1]) != n+1 {
			t.Errorf("sample %d: routes of %d tokens and %d lists, want %d", i, len(r.Routes.Experts[2])/m.Config().TopK, len(r.Routes.Starts[1])-1, n)
		}
	}
}

// TestSequencesContinue: an interrupted sequence goes on as if it had not been.
func TestSequencesContinue(t *testing.T) {
	for name, m := range models(t) {
		r := Request{Prompt: []int32{3, 1, 4}, MaxTokens: 30, IgnoreEOS: true, Sampling: Sampling{Temperature: 1, Seed: 5}}
		whole := mustRun(t, m, Options{}, r)[0].Tokens
		for _, cut := range []int{1, 7, 29} {
			next := r
			next.Prompt = slices.Clone(r.Prompt)
			for _, k := range whole[:cut] {
				next.Prompt = append(next.Prompt, k.ID)
			}
			next.MaxTokens -= cut
			if got := mustRun(t, m, Options{}, next)[0].Tokens; fmt.Sprint(got) != fmt.Sprint(whole[cut:]) {
				t.Errorf("%s: cut after %d tokens, it went on differently", name, cut)
			}
		}
	}
}

// fataler is a test, or one of many of a property.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func mustRun(t fataler, m *deepseek.Model, o Options, rs ...Request) []Result {
	t.Helper()
	e, err := New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Run(context.Background(), rs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestNonFiniteRequestsFailAlone: a token whose embedding is NaN ends the
// sequences that contain it, and no others.
func TestNonFiniteRequestsFailAlone(t *testing.T) {
	for name, m := range models(t) {
		ok := Request{Prompt: []int32{1, 2, 3}, MaxTokens: 8, IgnoreEOS: true, Sampling: Sampling{Temperature: 1, TopK: 5}}
		bad := ok
		bad.Prompt = []int32{1, 2, 18, 4}
		var p *deepseek.Param
		for _, q := range m.Params() {
			if q.Role == arch.Embed {
				p = q
			}
		}
		d := m.Config().HiddenSize
		p.Data[18*d] = float32(math.NaN())
		got := mustRun(t, m, Options{}, ok, bad, ok)
		if !errors.Is(got[1].Err, deepseek.ErrNonFinite) || got[1].Reason != Failed || !strings.Contains(got[1].Err.Error(), "request 1: position 2: ") || !strings.Contains(got[1].Err.Error(), p.Name) {
			t.Errorf("%s: %v (%v), want an error that names request, position and tensor", name, got[1].Err, got[1].Reason)
		}
		for _, i := range []int{0, 2} {
			if got[i].Err == nil && fmt.Sprint(got[i].Tokens) != fmt.Sprint(got[0].Tokens) || len(got[i].Tokens) == 0 {
				t.Errorf("%s: request %d suffered: %v", name, i, got[i])
			}
		}
	}
}

// TestCancel: requests that wait or run end when cancelled, and free what they
// held; the others of a group do not suffer when their leader goes.
func TestCancel(t *testing.T) {
	m := models(t)["v4"]
	e, err := New(m, Options{Sequences: 2, StepTokens: 5})
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Prompt: make([]int32, 40), MaxTokens: 6, IgnoreEOS: true, Sampling: Sampling{Temperature: 1}}
	var ss []*Stream
	for i := range uint64(4) {
		r.Sample = i
		s, err := e.Submit(r)
		if err != nil {
			t.Fatal(err)
		}
		ss = append(ss, s)
	}
	mustStep(t, e)
	ss[0].Cancel() // leads its group, in the middle of the prompt
	ss[3].Cancel() // waits
	for {
		if busy := mustStep(t, e); !busy {
			break
		}
	}
	want := mustRun(t, m, Options{}, ss[1].req, ss[2].req)
	for i, reason := range []Reason{Cancelled, Length, Length, Cancelled} {
		got := ss[i].Result()
		if got.Reason != reason {
			t.Errorf("request %d ended by %v, want %v", i, got.Reason, reason)
		}
		if reason == Length && fmt.Sprint(got.Tokens) != fmt.Sprint(want[i-1].Tokens) {
			t.Errorf("request %d has other tokens than alone", i)
		}
	}
	if s := e.Stats(); s.FreePages != s.Pages || !e.empty() {
		t.Errorf("after the end: %+v, %d snapshots, trees %v", s, len(e.kept), e.trees)
	}
}

func mustStep(t testing.TB, e *Engine) bool {
	t.Helper()
	busy, err := e.Step()
	if err != nil {
		t.Fatal(err)
	}
	return busy
}

// TestFullEngineRefuses says what is free, and takes requests again later.
func TestFullEngineRefuses(t *testing.T) {
	m := models(t)["v3"]
	e, err := New(m, Options{Sequences: 1, Queue: 2})
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Prompt: []int32{1}, MaxTokens: 2}
	for range 2 {
		if _, err := e.Submit(r); err != nil {
			t.Fatal(err)
		}
	}
	_, err = e.Submit(r)
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "2 of 2 requests wait, 0 run") {
		t.Fatalf("error %v, want one that tells who waits", err)
	}
	mustStep(t, e)
	if _, err := e.Submit(r); err != nil {
		t.Errorf("refused after a step: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if s := e.Stats(); s.Waiting != 0 || s.Running != 0 || s.FreePages != s.Pages {
		t.Errorf("closed: %+v", s)
	}
	size, err := deepseek.CacheSizeOf(m.Config(), deepseek.CacheOptions{Context: 90})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(m, Options{CacheBytes: size.PageBytes}); err == nil || !strings.Contains(err.Error(), "one sequence of 90 tokens takes") {
		t.Errorf("too small a cache: %v", err)
	}
	one := int64(size.Pages(90)) * size.PageBytes
	if e, err = New(m, Options{CacheBytes: one}); err != nil {
		t.Fatal(err)
	}
	got, err := e.Run(context.Background(), []Request{{Prompt: make([]int32, 80), MaxTokens: 10, IgnoreEOS: true}}, nil)
	if err != nil || len(got[0].Tokens) != 10 {
		t.Errorf("a request that takes the whole cache: %v, %v", got, err)
	}
}

// TestStreams: another goroutine reads tokens as they come.
func TestStreams(t *testing.T) {
	m := models(t)["v4"]
	e, err := New(m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- e.Serve(ctx) }()
	s, err := e.Submit(Request{Prompt: []int32{1, 2}, MaxTokens: 7, IgnoreEOS: true, TopLogProbs: 3})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		k, err := s.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if k.Top[0].ID != k.ID || k.Top[0].LogProb != k.LogProb || k.Top[1].LogProb < k.Top[2].LogProb {
			t.Errorf("token %+v: the most likely is not first", k)
		}
		n++
	}
	if r := s.Result(); n != 7 || r.Reason != Length {
		t.Errorf("%d tokens, ended by %v", n, r.Reason)
	}
	stop()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestStepsTakeNothingFromTheHeap: once warm, a step of running answers allocates
// only pages of the cache, and room for answers, as they grow.
func TestStepsTakeNothingFromTheHeap(t *testing.T) {
	for name, cfg := range map[string]*arch.Config{"v4": deepseektest.SmallV4(), "v3": deepseektest.SmallV3()} {
		cfg.MaxPositions = 400
		m := randomModel(t, cfg)
		for _, n := range []int{1, 12} {
			e, err := New(m, Options{Sequences: n})
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				r := Request{Prompt: []int32{int32(i), 2, 3}, MaxTokens: 390, IgnoreEOS: true, Sampling: Sampling{Temperature: 1}}
				if _, err := e.Submit(r); err != nil {
					t.Fatal(err)
				}
			}
			for range 300 {
				mustStep(t, e)
			}
			pages := e.cache.Bytes()
			if got := testing.AllocsPerRun(50, func() { mustStep(t, e) }); e.cache.Bytes() == pages && got > 1 || got > float64(2*n) {
				t.Errorf("%s, %d sequences: %v allocations a step", name, n, got)
			}
		}
	}
}
