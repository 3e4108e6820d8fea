package generate

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/deepseek"
)

// empty tells whether the engine holds nothing of any request.
func (e *Engine) empty() bool {
	nodes := 0
	for i := range e.trees {
		nodes += len(e.trees[i].root.children)
	}
	return nodes == 0 && len(e.kept) == 0 && e.available() == e.cache.Pages()
}

// checkTrees holds the trees to what they say: counts, places, no node without use;
// and the cache to having the pages that were promised.
func checkTrees(t interface{ Fatalf(string, ...any) }, e *Engine) {
	live, waiting := map[*node]int{}, map[*node]int{}
	for _, s := range e.running {
		live[s.node]++
	}
	for _, s := range e.waiting {
		if s.node != nil {
			live[s.node]++
			waiting[s.node]++
		}
	}
	snaps := 0
	var walk func(n *node) (l, w int)
	walk = func(n *node) (l, w int) {
		l, w = live[n], waiting[n]
		if n.ends != w || n.gone {
			t.Fatalf("node of %d tokens: %d prompts that wait end there, it says %d (gone: %v)", n.depth, w, n.ends, n.gone)
		}
		if n.snap != nil {
			snaps++
			if e.kept[n.snap.place] != n || len(n.snap.seq.Tokens()) != n.depth {
				t.Fatalf("node of %d tokens: its snapshot has %d, or is not among those kept", n.depth, len(n.snap.seq.Tokens()))
			}
		}
		for first, c := range n.children {
			if c.parent != n || c.edge[0] != first || c.depth != n.depth+len(c.edge) {
				t.Fatalf("node of %d tokens: a child of %d by an edge of %d", n.depth, c.depth, len(c.edge))
			}
			cl, cw := walk(c)
			l, w = l+cl, w+cw
		}
		if n.live != l || n.waiting != w {
			t.Fatalf("node of %d tokens: %d live, %d wait, it says %d, %d", n.depth, l, w, n.live, n.waiting)
		}
		if n.parent != nil && n.live == 0 && n.snap == nil && len(n.children) < 2 {
			t.Fatalf("node of %d tokens with %d children has no use", n.depth, len(n.children))
		}
		return l, w
	}
	for i := range e.trees {
		walk(&e.trees[i].root)
	}
	if snaps != len(e.kept) {
		t.Fatalf("%d snapshots in the trees, %d kept", snaps, len(e.kept))
	}
	if free := e.available() + e.fixed*len(e.kept); free < 0 {
		t.Fatalf("%d pages more are promised than are free", -free)
	}
}

// mixture draws prompts that have beginnings in common, of all lengths: system
// prompts, examples, questions; equal ones, and ones that others begin with.
type mixture struct {
	s detrand.Stream
	i uint64
	m *deepseek.Model
}

func (x *mixture) roll(n int) int { x.i++; return int(x.s.Uint64nAt(x.i, uint64(n))) }

func (x *mixture) text(name string, n int) []int32 {
	s := detrand.Key(1, "text "+name)
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(s.Uint64nAt(uint64(i), 17))
	}
	return out
}

func (x *mixture) request(before []int32) Request {
	r := Request{MaxTokens: 1 + x.roll(8), IgnoreEOS: x.roll(2) == 0, Routing: x.roll(5) == 0}
	r.Prompt = slices.Clone(before)
	if len(r.Prompt) == 0 {
		r.Prompt = append(r.Prompt, x.text(fmt.Sprint("system", x.roll(2)), 1+x.roll(2)*19)...)
		r.Prompt = append(r.Prompt, x.text(fmt.Sprint("example", x.roll(3)), x.roll(3)*7)...)
	}
	r.Prompt = append(r.Prompt, x.text(fmt.Sprint("question", x.roll(4)), x.roll(9))...)
	if len(r.Prompt) > 80 {
		r.Prompt = r.Prompt[:80]
	}
	r.Temperature, r.Seed, r.Sample = []float32{0, 1}[x.roll(2)], 3, uint64(x.roll(3))
	if n := len(r.Prompt); n > 1 && x.roll(3) == 0 {
		r.Score = n - 1 - x.roll(min(n-1, 15))
		r.MaxTokens *= x.roll(2)
	}
	return r
}

// TestSharingIsExact: whatever prompts have in common, wherever snapshots are taken,
// given up or used again, by whatever turn of a conversation, and whoever cancels:
// tokens and log-probabilities are those of a request alone.
func TestSharingIsExact(t *testing.T) {
	for name, m := range models(t) {
		t.Run(name, func(t *testing.T) {
			alone := map[string]Result{}
			rapid.Check(t, func(rt *rapid.T) {
				o := Options{
					Sequences: rapid.IntRange(1, 6).Draw(rt, "sequences"), Speculate: rapid.Bool().Draw(rt, "speculate"),
					Keep: rapid.Bool().Draw(rt, "keep"), Share: rapid.IntRange(1, 12).Draw(rt, "share"), Latent: rapid.Bool().Draw(rt, "latent"),
				}
				o.StepTokens = 2*o.Sequences + rapid.IntRange(1, 40).Draw(rt, "step tokens")
				size, err := deepseek.CacheSizeOf(m.Config(), o.cache())
				if err != nil {
					rt.Fatal(err)
				}
				o.CacheBytes = int64(size.Pages(90)*rapid.IntRange(1, 6).Draw(rt, "cache")+rapid.IntRange(0, 9).Draw(rt, "pages")) * size.PageBytes
				e, err := New(m, o)
				if err != nil {
					rt.Fatal(err)
				}
				runMixture(rt, e, &mixture{s: detrand.Key(rapid.Uint64().Draw(rt, "seed"), "mixture"), m: m}, alone)
			})
		})
	}
}

// runMixture submits requests as others run, some of which continue ended ones.
func runMixture(rt *rapid.T, e *Engine, x *mixture, alone map[string]Result) {
	var ss []*Stream
	for busy := true; busy || len(ss) < 25; {
		for range x.roll(4) {
			if len(ss) == 25 {
				break
			}
			var before []int32
			if len(ss) > 0 && x.roll(2) == 0 {
				s := ss[x.roll(len(ss))]
				before = slices.Clone(s.req.Prompt)
				for _, k := range s.Result().Tokens {
					before = append(before, k.ID)
				}
			}
			s, err := e.Submit(x.request(before))
			if err != nil {
				rt.Fatal(err)
			}
			ss = append(ss, s)
		}
		if len(ss) > 0 && x.roll(10) == 0 {
			ss[x.roll(len(ss))].Cancel()
		}
		var err error
		if busy, err = e.Step(); err != nil {
			rt.Fatal(err)
		}
		checkTrees(rt, e)
	}
	for i, s := range ss {
		key := fmt.Sprintf("%+v", s.req)
		want, ok := alone[key]
		if !ok {
			want = mustRun(rt, x.m, Options{}, s.req)[0]
			alone[key] = want
		}
		got := s.Result()
		if got.Reason == Cancelled {
			want.Tokens, want.Reason = want.Tokens[:min(len(got.Tokens), len(want.Tokens))], Cancelled
			want.Routes, got.Routes = nil, nil
			want.Scored = want.Scored[:len(got.Scored):len(got.Scored)]
		}
		if len(got.Tokens)+len(want.Tokens) == 0 {
			got.Tokens, want.Tokens = nil, nil
		}
		if len(got.Scored)+len(want.Scored) == 0 {
			got.Scored, want.Scored = nil, nil
		}
		if !reflect.DeepEqual(got, want) {
			rt.Fatalf("request %d: %+v:\n%+v, alone\n%+v", i, s.req, got, want)
		}
	}
	if !e.o.Keep && !e.empty() {
		rt.Fatalf("at the end: %+v", e.Stats())
	}
	if err := e.Close(); err != nil {
		rt.Fatal(err)
	}
	if s := e.Stats(); !e.empty() || s.FreePages != s.Pages {
		rt.Fatalf("closed: %+v", s)
	}
}

// TestSystemPromptsGoThroughOnce: what prompts have in common goes through the model
// once, as long as there is a request that needs it.
func TestSystemPromptsGoThroughOnce(t *testing.T) {
	m := models(t)["v4"]
	x := mixture{m: m}
	system := x.text("system", 40)
	var rs []Request
	own := 0
	for i := range 12 {
		r := Request{Prompt: slices.Concat(system, x.text(fmt.Sprint("q", i), 3+i)), MaxTokens: 3, IgnoreEOS: true}
		r.Prompt[len(system)] = int32(i)
		own += 3 + i
		rs = append(rs, r)
	}
	e, err := New(m, Options{Sequences: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(context.Background(), rs, nil); err != nil {
		t.Fatal(err)
	}
	if s := e.Stats(); s.PromptTokens != int64(len(system)+own) || s.SharedTokens != int64(11*len(system)) {
		t.Errorf("%d prompt tokens went through the model, %d were shared, want %d and %d", s.PromptTokens, s.SharedTokens, len(system)+own, 11*len(system))
	}
	if !e.empty() {
		t.Error("something is kept for nobody")
	}
}

// TestScoresAreTheTrainers: the log-probabilities of a prompt's tokens have the bits of
// a training pass, from whichever token on, with or without an answer after them; and
// what comes before them goes through the model once.
func TestScoresAreTheTrainers(t *testing.T) {
	for name, m := range models(t) {
		x := mixture{s: detrand.Key(2, "scores"), m: m}
		question := x.text("question", 31)
		var rs []Request
		own := 0
		for i := range 9 {
			r := Request{Prompt: slices.Concat(question, x.text(fmt.Sprint("answer", i), 1+3*i)), Score: len(question), IgnoreEOS: true}
			own += 1 + 3*i // the question's last token among them, the answer's not
			rs = append(rs, r)
		}
		shared := len(question) - 1
		all := rs[7]
		all.Score = 1
		answered := rs[8]
		answered.Score, answered.MaxTokens = 40, 4
		for _, step := range []int{0, 20} {
			e, err := New(m, Options{Sequences: 4, StepTokens: step})
			if err != nil {
				t.Fatal(err)
			}
			e.scores = 5 // several passes
			got, err := e.Run(context.Background(), rs, nil)
			if err != nil {
				t.Fatal(err)
			}
			if s := e.Stats(); s.PromptTokens != int64(shared+own) || s.SharedTokens != int64(8*shared) || !e.empty() {
				t.Errorf("%s: %d prompt tokens went through the model, %d were shared, want %d and %d", name, s.PromptTokens, s.SharedTokens, shared+own, 8*shared)
			}
			more, err := e.Run(context.Background(), []Request{all, answered}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range append(got, more...) {
				asked := append(slices.Clone(rs), all, answered)[i]
				want := logProbs(t, m, asked.Prompt, asked.Score)
				if !slices.Equal(r.Scored, want) || len(r.Tokens) != asked.MaxTokens || r.Reason != Length {
					t.Fatalf("%s, request %d: scores %v (%v, %v), want %v", name, i, r.Scored, r.Reason, r.Err, want)
				}
			}
			if want := mustRun(t, m, Options{}, Request{Prompt: answered.Prompt, MaxTokens: 4, IgnoreEOS: true}); !reflect.DeepEqual(more[1].Tokens, want[0].Tokens) {
				t.Errorf("%s: after scores the answer is %v, want %v", name, more[1].Tokens, want[0].Tokens)
			}
		}
		for _, r := range []Request{{Prompt: []int32{1, 2}, Score: 2}, {Prompt: []int32{1, 2}, Score: -1, MaxTokens: 1}, {Prompt: []int32{1}}, {Prompt: make([]int32, 91), Score: 1}} {
			if err := r.check(19, 90); err == nil {
				t.Errorf("%+v is taken", r)
			}
		}
		whole := Request{Prompt: make([]int32, 90), Score: 1}
		if got := mustRun(t, m, Options{}, whole)[0]; len(got.Scored) != 89 || got.Reason != Length {
			t.Errorf("%s: a prompt as long as the context: %d scores, %v (%v)", name, len(got.Scored), got.Reason, got.Err)
		}
	}
}

// TestConversationsContinue: with Keep, each turn of a conversation costs its own
// tokens, and a system prompt is known when the third conversation begins.
func TestConversationsContinue(t *testing.T) {
	m := models(t)["v4"]
	x := mixture{m: m}
	e, err := New(m, Options{Keep: true, Share: 8})
	if err != nil {
		t.Fatal(err)
	}
	system := x.text("system", 20)
	for talk := range 4 {
		tokens := append(slices.Clone(system), int32(talk))
		for turn := range 3 {
			tokens = append(tokens, x.text(fmt.Sprint("turn", talk, turn), 5)...)
			before := e.Stats()
			r := Request{Prompt: tokens, MaxTokens: 6, IgnoreEOS: true, Sampling: Sampling{Temperature: 1}}
			got, err := e.Run(context.Background(), []Request{r}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if want := mustRun(t, m, Options{}, r); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("conversation %d, turn %d: %v, alone %v", talk, turn, got, want)
			}
			for _, k := range got[0].Tokens {
				tokens = append(tokens, k.ID)
			}
			// The last token of an answer has not been through the model.
			want := 6
			switch {
			case turn > 0:
			case talk < 2:
				want = 26
			}
			if n := e.Stats().PromptTokens - before.PromptTokens; n != int64(want) {
				t.Errorf("conversation %d, turn %d: %d tokens of the prompt went through the model, want %d", talk, turn, n, want)
			}
		}
	}
}

// TestLongLivedEngine: thousands of requests leave no trace but what is kept, which
// stays within the cache's bytes.
func TestLongLivedEngine(t *testing.T) {
	n := 4000
	if testing.Short() {
		n = 600
	}
	m := models(t)["v4"]
	for _, keep := range []bool{false, true} {
		x := &mixture{s: detrand.Key(5, "long"), m: m}
		o := Options{Sequences: 4, Keep: keep, Share: 4, Queue: 8, StepTokens: 24}
		size, err := deepseek.CacheSizeOf(m.Config(), o.cache())
		if err != nil {
			t.Fatal(err)
		}
		o.CacheBytes = int64(7*size.Pages(90)) * size.PageBytes
		e, err := New(m, o)
		if err != nil {
			t.Fatal(err)
		}
		most := o.CacheBytes + int64(o.Sequences)*size.Sequence
		var ss []*Stream
		for i := 0; i < n; {
			if len(e.waiting) < o.Queue {
				var before []int32
				if len(ss) > 8 && x.roll(3) == 0 {
					s := ss[len(ss)-8]
					before = s.req.Prompt[:len(s.req.Prompt):len(s.req.Prompt)]
				}
				s, err := e.Submit(x.request(before))
				if err != nil {
					t.Fatal(err)
				}
				ss = append(ss, s)
				i++
				if x.roll(20) == 0 {
					ss[max(0, len(ss)-1-x.roll(10))].Cancel()
				}
				continue
			}
			mustStep(t, e)
			if i%50 == 0 {
				checkTrees(t, e)
			}
			if got := e.cache.Bytes(); got > most {
				t.Fatalf("after %d requests the cache has %d bytes, at most %d are its", i, got, most)
			}
		}
		for mustStep(t, e) {
		}
		s := e.Stats()
		if s.Finished != int64(n) || s.SharedTokens == 0 || keep != (s.Snapshots > 0) || keep && s.Evicted == 0 {
			t.Errorf("keep %v: %+v", keep, s)
		}
		if err := e.Close(); err != nil || !e.empty() {
			t.Errorf("keep %v: closed, it holds %+v (%v)", keep, e.Stats(), err)
		}
	}
}

// TestShortPromptsPassLongOnes: a prompt that takes many passes does not hold up
// those that take one, nor answers.
func TestShortPromptsPassLongOnes(t *testing.T) {
	m := models(t)["v4"]
	x := mixture{m: m}
	e, err := New(m, Options{Sequences: 3, StepTokens: 13})
	if err != nil {
		t.Fatal(err)
	}
	long, err := e.Submit(Request{Prompt: x.text("long", 80), MaxTokens: 2, IgnoreEOS: true})
	if err != nil {
		t.Fatal(err)
	}
	short, err := e.Submit(Request{Prompt: []int32{3, 4, 5, 6}, MaxTokens: 6, IgnoreEOS: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		mustStep(t, e)
		if got := len(short.Result().Tokens); got != i+1 {
			t.Fatalf("after %d passes the short request has %d tokens", i+1, got)
		}
	}
	if len(long.Result().Tokens) != 0 || len(long.seq.Tokens()) < 40 {
		t.Errorf("the long prompt is at %d of 80 tokens", len(long.seq.Tokens()))
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
