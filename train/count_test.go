package train

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

// packs is a source of rows made of documents of the given lengths, of which the
// answers, a share of every document's end, are supervised.
type packs struct {
	rows   [][]int
	answer float64
	vocab  int
}

func (p packs) Rows(step int64) ([]Row, error) {
	var out []Row
	for i, lengths := range p.rows {
		var r data.Row
		for j, n := range lengths {
			at := len(r.Tokens)
			r.Segments = append(r.Segments, data.Segment{Start: at, End: at + n})
			st := detrand.Key(7, "packs", uint64(step), uint64(i), uint64(j))
			for k := range n {
				r.Tokens = append(r.Tokens, int32(st.Uint64nAt(uint64(k), uint64(p.vocab))))
				r.Mask = append(r.Mask, k > 0 && float64(k) >= float64(n)*(1-p.answer))
			}
		}
		out = append(out, NewRow(&r))
	}
	return out, nil
}

// countCase is one way to take a step.
type countCase struct {
	model     *arch.Config
	rows      [][]int
	answer    float64
	mtp       float64
	indexer   float64
	micro     int
	slots     int
	recompute string
	optimizer string
	routed    bool // every second segment
}

func (c countCase) trainer(t *testing.T) *Trainer {
	t.Helper()
	m, err := deepseek.New(c.model)
	if err != nil {
		t.Fatal(err)
	}
	m.Init(5)
	cfg := testConfig(2)
	cfg.Slots, cfg.MicroRows, cfg.Recompute, cfg.Optimizer.Name = c.slots, c.micro, c.recompute, c.optimizer
	cfg.Loss.MTP, cfg.Loss.Indexer = c.mtp, c.indexer
	var s Source = packs{c.rows, c.answer, c.model.VocabSize}
	if c.routed {
		s = routedRows{s, routes(t, m, s, 0), 2}
	}
	tr, err := New(cfg, m, s, len(c.rows), func() time.Time { return time.Unix(0, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func denseV3() *arch.Config {
	c := deepseektest.SmallV3()
	c.DenseLayers = c.NumLayers - 1
	return c
}

// onlyKind is a V4 model whose trunk attends in one way.
func onlyKind(ratio int) *arch.Config {
	c := deepseektest.SmallV4()
	c.CompressRatios = []int{ratio, ratio, ratio, ratio, 0}
	return c
}

// countCases cover both families, every kind of attention, both extra losses,
// packing at the edges of windows, blocks and choices, masks, micro-batches.
func countCases() []countCase {
	var out []countCase
	packed := [][]int{{40, 9, 1}, {17, 33}, {3}, {61}}
	for _, model := range []*arch.Config{deepseektest.SmallV3(), denseV3(), deepseektest.SmallV4(), onlyKind(0), onlyKind(4), onlyKind(8)} {
		for _, mtp := range []float64{0, 0.3} {
			for _, answer := range []float64{1, 0.3} {
				c := countCase{model: model, rows: packed, answer: answer, mtp: mtp, micro: 1, slots: 1, recompute: "none", optimizer: "adamw"}
				out = append(out, c)
				if model.Family == arch.V4 {
					c.indexer = 0.1
					out = append(out, c)
				}
			}
		}
	}
	v4 := countCase{model: deepseektest.SmallV4(), rows: packed, answer: 0.5, mtp: 0.3, micro: 2, slots: 2, recompute: "none", optimizer: "muon"}
	out = append(out, v4)
	for _, indexer := range []float64{0, 0.1} {
		routed := v4
		routed.indexer, routed.routed = indexer, true
		out = append(out, routed)
	}
	v4.rows = [][]int{{8, 11, 4}, {11}, {5, 6}, {2}} // no query has a choice
	out = append(out, v4)
	for _, rc := range []string{"selective", "full"} {
		for _, indexer := range []float64{0, 0.1} {
			v4.rows, v4.recompute, v4.indexer = packed, rc, indexer
			out = append(out, v4)
			v4.routed = true
			out = append(out, v4)
			v4.routed = false
		}
		out = append(out, countCase{model: deepseektest.SmallV3(), rows: packed, answer: 1, mtp: 0.3, micro: 4, slots: 1, recompute: rc, optimizer: "muon"})
	}
	return out
}

func (c countCase) String() string {
	return fmt.Sprintf("%s %v ratios=%v answer=%g mtp=%g indexer=%g micro=%d slots=%d recompute=%s %s routed=%v",
		c.model.Family, c.rows, c.model.CompressRatios, c.answer, c.mtp, c.indexer, c.micro, c.slots, c.recompute, c.optimizer, c.routed)
}

// The closed form, the sum over single products and what kernels executed are the
// same number, exactly and operator by operator; what was executed beyond it is
// listed, and all of it adds up to everything that was executed.
func TestStepCountedThreeWays(t *testing.T) {
	for _, c := range countCases() {
		t.Run(c.String(), func(t *testing.T) {
			tr := c.trainer(t)
			rows, err := tr.source.Rows(0)
			if err != nil {
				t.Fatal(err)
			}
			want := FLOPs(tr.cfg, c.model, rows)
			got, err := tr.CountStep(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			sum := got.Ledger
			for _, l := range got.Lines {
				if l.Ledger != l.Listed || l.Ledger != l.Counted {
					t.Errorf("%s: ledger %d, products %d, counted %d", l.Operator, l.Ledger, l.Listed, l.Counted)
				}
			}
			for _, b := range got.Beyond {
				sum += b.Multiplications
				if b.Multiplications < 0 || b.Why == "" {
					t.Errorf("beyond the ledger: %+v", b)
				}
				if recomputes := c.recompute != "none"; b.Name == "recomputed" && recomputes != (b.Multiplications > 0) {
					t.Errorf("recompute %s: %+v", c.recompute, b)
				}
			}
			if sum != got.Executed {
				t.Errorf("ledger and what is beyond it: %d multiplications, executed %d", sum, got.Executed)
			}
			if 2*float64(got.Ledger) != want {
				t.Errorf("%d multiplications are not half of %.0f operations", got.Ledger, want)
			}
		})
	}
}

// Every product with a weight, in every pass, is executed with the shape listed: as
// often, no more and no less.
func TestEveryProductIsListed(t *testing.T) {
	for _, c := range countCases() {
		t.Run(c.String(), func(t *testing.T) {
			tr := c.trainer(t)
			rows, err := tr.source.Rows(0)
			if err != nil {
				t.Fatal(err)
			}
			l, counted := tr.listed(rows, WorkOf(tr.cfg, c.model, rows)), newTally(tr.model)
			if err := counted.watch(func() error { return tr.accumulate(context.Background(), rows, &Result{Counts: Count(rows)}, nil) }); err != nil {
				t.Fatal(err)
			}
			if counted.strange != 0 {
				t.Errorf("%d multiplications of products that are of no weight", counted.strange)
			}
			for key, n := range l.products {
				switch key.name {
				case "scores", "values", "weights", "pooling", "mixing":
					continue
				}
				again := c.recompute != "none" && key.pass == arch.Forward && counted.weights[key] == 2*n
				if counted.weights[key] != n && !again {
					t.Errorf("%+v: listed %d, executed %d", key, n, counted.weights[key])
				}
			}
			for key, n := range counted.weights {
				if _, ok := l.products[key]; !ok {
					t.Errorf("%+v: %d multiplications that no operation stands for", key, n)
				}
			}
		})
	}
}

// The path and the number of threads do not change what is counted; watching does
// not change a bit of what is computed.
func TestCountingChangesNothing(t *testing.T) {
	c := countCases()[len(countCases())-2]
	base, plain := c.trainer(t), c.trainer(t)
	want, err := base.CountStep(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Step(context.Background()); err != nil {
		t.Fatal(err)
	}
	a, b := patterns(base.model), patterns(plain.model)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("parameter bits %d are %08x watched, %08x unwatched", i, a[i], b[i])
		}
	}
	path, threads := kernel.Path(), kernel.Threads()
	defer func() {
		kernel.SetThreads(threads)
		if _, err := kernel.SetPath(path); err != nil {
			t.Fatal(err)
		}
	}()
	for _, p := range kernel.Paths() {
		if _, err := kernel.SetPath(p); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 3} {
			kernel.SetThreads(n)
			got, err := c.trainer(t).CountStep(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if got.Ledger != want.Ledger || fmt.Sprint(got.Lines) != fmt.Sprint(want.Lines) {
				t.Errorf("%s, %d threads: %+v, want %+v", p, n, got.Lines, want.Lines)
			}
		}
	}
}
