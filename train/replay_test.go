package train

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/trace"
)

// routedRows gives rows of some segments the routes that record knows for their tokens.
type routedRows struct {
	Source
	record map[string]*deepseek.Routes
	every  int // segments in one that have routes
}

func (s routedRows) Rows(step int64) ([]Row, error) {
	rows, err := s.Source.Rows(step)
	n := 0
	for i := range rows {
		r := &rows[i]
		for _, g := range r.Segments {
			var x *deepseek.Routes
			if n%s.every == 0 {
				x = s.record[fmt.Sprint(r.Tokens[g.Start:g.End])]
			}
			r.Routes, n = append(r.Routes, x), n+1
		}
	}
	return rows, err
}

// routes records what a model chooses for the segments of steps.
func routes(t *testing.T, m *deepseek.Model, s Source, steps ...int64) map[string]*deepseek.Routes {
	t.Helper()
	c, err := m.NewCache(deepseek.CacheOptions{Bytes: 1 << 26})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*deepseek.Routes{}
	for _, step := range steps {
		rows, err := s.Rows(step)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			for _, g := range r.Segments {
				q := c.NewSequence()
				q.Routes = m.NewRoutes()
				tokens := r.Tokens[g.Start:g.End]
				if n := len(tokens) - 1; n > 0 {
					if err := c.Extend([]deepseek.Extension{{Sequence: q, Tokens: tokens[:n]}}, nil); err != nil {
						t.Fatal(err)
					}
				}
				out[fmt.Sprint(tokens)] = q.Routes
				q.Free()
			}
		}
	}
	return out
}

// TestReplayedSteps: a step whose rows must choose what the model would choose is the
// step without, in fewer operations; later weights would choose otherwise, and then
// micro-batches and recomputation still agree. The balance bias stays.
func TestReplayedSteps(t *testing.T) {
	c := testConfig(3)
	c.Router.BiasRate = 0
	_, m := newTrainer(t, c, source(), 4)
	record := routes(t, m, source(), 0, 1, 2)
	plain, _ := newTrainer(t, c, source(), 4)
	want := digested(t, plain, 1, 1)[0]
	for _, every := range []int{1, 3} {
		s := routedRows{source(), record, every}
		tr, _ := newTrainer(t, c, s, 4)
		got := digested(t, tr, 1, 3)
		first := got[0]
		if first.Digests.Batch == want.Digests.Batch {
			t.Error("routes are not in the batch's digest")
		}
		if first.FLOPs >= want.FLOPs {
			t.Errorf("%v operations, %v without routes: scores are formed for nothing", first.FLOPs, want.FLOPs)
		}
		first.Digests.Batch, first.FLOPs = want.Digests.Batch, want.FLOPs
		if g, w := fmt.Sprintf("%+v", first), fmt.Sprintf("%+v", want); g != w {
			t.Errorf("step 0 is %s, without routes %s", g, w)
		}
		for _, change := range []func(c *Config){
			func(c *Config) { c.MicroRows = 4 },
			func(c *Config) { c.MicroRows, c.Recompute = 2, "selective" },
			func(c *Config) { c.Recompute, c.Router.BiasRate = "full", 0.01 },
		} {
			c := c
			change(&c)
			tr, _ := newTrainer(t, c, s, 4)
			if again := digested(t, tr, 1, 3); again[2].Digests != got[2].Digests || again[2].LM != got[2].LM {
				t.Errorf("%+v: step 2 is %+v, want %+v", c, again[2], got[2])
			}
		}
	}
}

// TestBalanceBiasUnderReplay: the bias moves after steps without routes only.
func TestBalanceBiasUnderReplay(t *testing.T) {
	c := testConfig(2)
	s := routedRows{Source: source(), every: 5}
	tr, m := newTrainer(t, c, &s, 4)
	s.record = routes(t, m, source(), 0)
	bias := func() (b []float32) {
		for _, p := range m.Params() {
			if p.Role == arch.GateBias {
				b = append(b, p.Data...)
			}
		}
		return b
	}
	before := bias()
	if _, err := tr.Step(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(bias(), before) {
		t.Error("the bias moved by a load that was given")
	}
	if _, err := tr.Step(context.Background()); err != nil { // it has no routes
		t.Fatal(err)
	}
	if slices.Equal(bias(), before) {
		t.Error("the bias stays without routes, too")
	}
}

// TestTraceUnderReplay shows the choices that were given, whatever the micro-batch.
func TestTraceUnderReplay(t *testing.T) {
	_, m := newTrainer(t, testConfig(1), source(), 4)
	record := routes(t, m, source(), 0)
	list := func(rows int, recompute string, s Source) []trace.Entry {
		c := testConfig(1)
		c.MicroRows, c.Recompute, c.Router.BiasRate = rows, recompute, 0
		tr, m := newTrainer(t, c, s, 4)
		for _, p := range m.Params() { // not the weights that chose
			for i := range p.Data {
				if p.Role != arch.GateHash {
					p.Data[i] = -p.Data[i]
				}
			}
		}
		var all []trace.Entry
		to := &Tracing{Each: func(e trace.Entry) error { all = append(all, e); return nil }}
		tr.Trace(to)
		if _, err := tr.Step(context.Background()); err != nil || to.Err != nil {
			t.Fatal(err, to.Err)
		}
		return all
	}
	s := routedRows{source(), record, 2}
	want := list(1, "none", s)
	for _, recompute := range []string{"none", "full"} {
		if got := list(4, recompute, s); !slices.Equal(got, want) {
			t.Errorf("recompute %s: the trace of 4 rows at once is another one", recompute)
		}
	}
	free := list(1, "none", source())
	if len(free) != len(want) {
		t.Errorf("%d operators are traced, %d without routes", len(want), len(free))
	}
	i := 0
	for i < len(want) && want[i] == free[i] {
		i++
	}
	if i == len(want) || want[i].Name != "feed-forward.router.chosen" && want[i].Name != "attention.indexer.chosen" {
		t.Errorf("the first operator that differs is %v", want[i])
	}
}

// TestRowRoutesAreChecked before the first gradient.
func TestRowRoutesAreChecked(t *testing.T) {
	s := routedRows{source(), nil, 1}
	tr, m := newTrainer(t, testConfig(1), rowsOf(func() []Row {
		rows, _ := s.Rows(0)
		rows[1].Routes, rows[2].Routes = rows[1].Routes[:1], append(rows[2].Routes, nil)
		return rows
	}), 4)
	before := patterns(m)
	_, err := tr.Step(context.Background())
	if err == nil || !strings.Contains(err.Error(), "step 0: row 1 has routes for 1 segments of 2") || !slices.Equal(patterns(m), before) {
		t.Errorf("error %v", err)
	}
}

type rowsOf func() []Row

func (f rowsOf) Rows(int64) ([]Row, error) { return f(), nil }

// TestDigestOfRoutedRows covers every choice; a row without routes keeps its digest.
func TestDigestOfRoutedRows(t *testing.T) {
	_, m := newTrainer(t, testConfig(1), source(), 4)
	record := routes(t, m, source(), 0)
	row := func() Row {
		rows, err := routedRows{source(), record, 1}.Rows(0)
		if err != nil {
			t.Fatal(err)
		}
		return rows[0]
	}
	bare := row()
	bare.Routes = nil
	none := row()
	none.Routes = make([]*deepseek.Routes, 2)
	if none.Digest() != bare.Digest() {
		t.Error("routes that give nothing are in the digest")
	}
	seen := map[digest.Digest]string{bare.Digest(): "a row without"}
	for name, change := range map[string]func(r *Row){
		"itself":        func(*Row) {},
		"an expert":     func(r *Row) { r.Routes[1].Experts[2][3]++ },
		"a pick":        func(r *Row) { r.Routes[0].Picks[1][1]++ },
		"a segment":     func(r *Row) { r.Routes[1] = nil },
		"order":         func(r *Row) { slices.Reverse(r.Routes) },
		"other segment": func(r *Row) { r.Routes[0] = nil },
	} {
		r := row()
		for i, x := range r.Routes {
			y := *x
			y.Experts, y.Picks = slices.Clone(x.Experts), slices.Clone(x.Picks)
			y.Experts[2], y.Picks[1] = slices.Clone(x.Experts[2]), slices.Clone(x.Picks[1])
			r.Routes[i] = &y
		}
		change(&r)
		d := r.Digest()
		if seen[d] != "" {
			t.Errorf("%s has the digest of %s", name, seen[d])
		}
		seen[d] = name
	}
}
