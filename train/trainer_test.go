package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/train/optim"
)

// pairs is a source whose odd tokens follow from the even ones, so that there is
// something to learn. Row i of a step has its own length and two segments.
type pairs struct {
	rows, length, vocab int
	poison              int64 // this step has an id outside the vocabulary; -1 = none
}

func (s pairs) Rows(step int64) ([]Row, error) {
	out := make([]Row, s.rows)
	for i := range out {
		st := detrand.Key(1, "pairs", uint64(step), uint64(i))
		n := s.length - 3*i
		r := data.Row{Tokens: make([]int32, n), Mask: make([]bool, n)}
		for j := range r.Tokens {
			r.Tokens[j] = int32(st.Uint64nAt(uint64(j), uint64(s.vocab)))
			if j%2 == 1 {
				r.Tokens[j] = (r.Tokens[j-1]*7 + 3) % int32(s.vocab)
			}
			r.Mask[j] = j%5 != 2
		}
		cut := n/3 + i
		r.Mask[0], r.Mask[cut] = false, false
		r.Segments = []data.Segment{{Start: 0, End: cut}, {Start: cut, End: n}}
		out[i] = NewRow(&r)
	}
	return out, nil
}

func testConfig(steps int64) Config {
	return Config{
		Steps: steps, Slots: 1, MicroRows: 1, Recompute: "none", NonFinite: "stop",
		Optimizer: optim.Default(), LR: optim.LRSchedule{Name: "cosine", Peak: 0.02, Warmup: min(2, steps)},
		Loss:   Loss{MTP: 0.3, Balance: 1e-2, Indexer: 0.1},
		Router: Router{Train: true, BiasRate: 0.01},
	}
}

func tiny() *arch.Config { return deepseektest.SmallV4() }

func newTrainer(t *testing.T, c Config, s Source, rows int) (*Trainer, *deepseek.Model) {
	t.Helper()
	m, err := deepseek.New(tiny())
	if err != nil {
		t.Fatal(err)
	}
	m.Init(3)
	tr, err := New(c, m, s, rows, func() time.Time { return time.Unix(0, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return tr, m
}

// train takes all steps and returns the results and the final parameters' bits.
func train(t *testing.T, c Config) ([]Result, []uint32) {
	t.Helper()
	tr, m := newTrainer(t, c, pairs{4, 40, tiny().VocabSize, -1}, 4)
	var rs []Result
	for !tr.Done() {
		r, err := tr.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	return rs, patterns(m)
}

func patterns(m *deepseek.Model) []uint32 {
	var b []uint32
	for _, p := range m.Params() {
		for _, v := range p.Data {
			b = append(b, math.Float32bits(v))
		}
	}
	return b
}

// The parameters after some steps must have the same bits for every micro-batch
// size, recompute choice, instruction set and number of threads.
func TestLayoutOfWorkDoesNotChangeBits(t *testing.T) {
	base := testConfig(3)
	base.Slots = 2
	results, want := train(t, base)
	check := func(name string, c Config) {
		t.Helper()
		rs, got := train(t, c)
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%s: parameter bit pattern %d is %08x, want %08x", name, i, got[i], want[i])
			}
		}
		for i := range rs {
			if rs[i].LM != results[i].LM || rs[i].MTP != results[i].MTP || rs[i].GradNorm != results[i].GradNorm || rs[i].Balance != results[i].Balance || rs[i].Indexer != results[i].Indexer {
				t.Errorf("%s: step %d reports %+v, want %+v", name, i, rs[i], results[i])
			}
		}
	}
	for _, micro := range []int{2, 4} {
		c := base
		c.MicroRows = micro
		check(fmt.Sprintf("micro_rows %d", micro), c)
	}
	for _, recompute := range []string{"selective", "full"} {
		c := base
		c.Recompute = recompute
		check("recompute "+recompute, c)
	}
	defer kernel.SetThreads(kernel.SetThreads(3))
	check("3 threads", base)
	for _, path := range kernel.Paths() {
		if path == "go" && testing.Short() {
			continue
		}
		old, err := kernel.SetPath(path)
		if err != nil {
			t.Fatal(err)
		}
		check(path, base)
		if _, err := kernel.SetPath(old); err != nil {
			t.Fatal(err)
		}
	}
}

// The number of slots is part of the arithmetic: it must matter, or the test
// above would prove nothing about the tree.
func TestSlotsArePartOfTheDefinition(t *testing.T) {
	a, b := testConfig(2), testConfig(2)
	b.Slots = 4
	_, x := train(t, a)
	_, y := train(t, b)
	for i := range x {
		if x[i] != y[i] {
			return
		}
	}
	t.Error("one slot and four slots gave the same bits")
}

func TestTrainingLearns(t *testing.T) {
	c := testConfig(40)
	c.MicroRows = 4
	rs, _ := train(t, c)
	first, last := rs[0].LM, rs[len(rs)-1].LM
	if want := math.Log(float64(tiny().VocabSize)); math.Abs(first-want) > 0.5 {
		t.Errorf("the first loss is %.3f, an untrained model has about ln V = %.3f", first, want)
	}
	if last > 0.75*first { // odd tokens, half of all, can be learnt completely
		t.Errorf("loss went from %.3f to %.3f only", first, last)
	}
}

// A saved and restored trainer must take the same steps.
func TestResumeTakesTheSameSteps(t *testing.T) {
	c := testConfig(6)
	src := pairs{4, 40, tiny().VocabSize, -1}
	a, ma := newTrainer(t, c, src, 4)
	b, mb := newTrainer(t, c, src, 4)
	for range 3 {
		if _, err := a.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range ma.Params() {
		copy(mb.Params()[i].Data, p.Data)
	}
	for i, s := range a.Optimizer().Slots() {
		copy(b.Optimizer().Slots()[i].Data, s.Data)
	}
	if err := b.Resume(3, 0, a.Optimizer().Steps()); err != nil {
		t.Fatal(err)
	}
	for !a.Done() {
		ra, _ := a.Step(context.Background())
		rb, _ := b.Step(context.Background())
		if ra.LM != rb.LM || ra.LR != rb.LR {
			t.Errorf("step %d: loss %v and %v, lr %v and %v", ra.Step, ra.LM, rb.LM, ra.LR, rb.LR)
		}
	}
	x, y := patterns(ma), patterns(mb)
	for i := range x {
		if x[i] != y[i] {
			t.Fatalf("bit pattern %d differs after the resume", i)
		}
	}
	if err := b.Resume(3, 1, 3); err == nil {
		t.Error("contradicting counters were accepted")
	}
}

// A batch that breaks the numbers must not change anything.
func TestNonFiniteStepsAreStoppedOrSkipped(t *testing.T) {
	for _, policy := range []string{"stop", "skip"} {
		c := testConfig(3)
		c.NonFinite = policy
		tr, m := newTrainer(t, c, pairs{4, 40, tiny().VocabSize, -1}, 4)
		victim := m.Params()[0]
		good := victim.Data[0]
		for i := range victim.Data {
			victim.Data[i] = float32(math.Inf(1))
		}
		before := patterns(m)
		r, err := tr.Step(context.Background())
		after := patterns(m)
		for i := range before {
			if before[i] != after[i] {
				t.Fatalf("%s: a step that is not finite changed the parameters", policy)
			}
		}
		taken, skipped := tr.Steps()
		if policy == "stop" {
			if !IsNonFinite(err) || !strings.Contains(err.Error(), "step 0") || taken != 0 {
				t.Errorf("stop: error %v, %d steps taken", err, taken)
			}
			continue
		}
		if err != nil || !r.Skipped || r.Why == "" || taken != 1 || skipped != 1 || tr.Optimizer().Steps() != 0 {
			t.Errorf("skip: error %v, result %+v, %d taken, %d skipped", err, r, taken, skipped)
		}
		victim.Data[0] = good
	}
}

func TestSkippingHasALimit(t *testing.T) {
	c := testConfig(100)
	c.NonFinite = "skip"
	tr, m := newTrainer(t, c, pairs{4, 40, tiny().VocabSize, -1}, 4)
	m.Params()[0].Data[0] = float32(math.NaN())
	for i := range m.Params()[0].Data {
		m.Params()[0].Data[i] = float32(math.NaN())
	}
	for i := 0; ; i++ {
		if _, err := tr.Step(context.Background()); err != nil {
			if i != maxSkips {
				t.Errorf("stopped after %d skipped steps, want %d", i, maxSkips)
			}
			return
		}
		if i > maxSkips {
			t.Fatal("a broken model skips for ever")
		}
	}
}

type unsupervised struct{}

func (unsupervised) Rows(int64) ([]Row, error) {
	return []Row{NewRow(&data.Row{Tokens: []int32{1, 2, 3}, Mask: make([]bool, 3), Segments: []data.Segment{{Start: 0, End: 3}}})}, nil
}

func TestAStepWithoutTargetsIsRefused(t *testing.T) {
	tr, _ := newTrainer(t, testConfig(1), unsupervised{}, 1)
	if _, err := tr.Step(context.Background()); err == nil || !strings.Contains(err.Error(), "no supervised token") {
		t.Errorf("error is %v", err)
	}
}

func TestCancelledStepChangesNothing(t *testing.T) {
	tr, m := newTrainer(t, testConfig(1), pairs{4, 40, tiny().VocabSize, -1}, 4)
	before := patterns(m)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := tr.Step(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	after := patterns(m)
	for i := range before {
		if before[i] != after[i] {
			t.Fatal("a cancelled step changed the parameters")
		}
	}
}

func TestRouterPolicies(t *testing.T) {
	c := testConfig(2)
	c.Router = Router{Train: false, BiasRate: 0}
	tr, m := newTrainer(t, c, pairs{4, 40, tiny().VocabSize, -1}, 4)
	saved := map[string][]float32{}
	for _, p := range m.Params() {
		saved[p.Name] = append([]float32(nil), p.Data...)
	}
	for !tr.Done() {
		if _, err := tr.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range m.Params() {
		same := true
		for i := range p.Data {
			same = same && p.Data[i] == saved[p.Name][i]
		}
		if frozen := p.Frozen || p.Role == arch.Gate; same != frozen {
			t.Errorf("%s: unchanged %v, frozen %v", p.Name, same, frozen)
		}
	}
}

func TestBalanceMovesBiasTowardsIdleExperts(t *testing.T) {
	tr, m := newTrainer(t, testConfig(1), pairs{4, 40, tiny().VocabSize, -1}, 4)
	for _, p := range m.Params() {
		if p.Role != arch.GateBias {
			continue
		}
		load := make([][]int64, tiny().Blocks())
		load[p.Layer] = make([]int64, len(p.Data))
		load[p.Layer][0], load[p.Layer][1] = 3, 1
		for e := 2; e < len(p.Data); e++ {
			load[p.Layer][e] = 2 // the mean: left alone
		}
		tr.balance(load)
		if p.Data[0] != -0.01 || p.Data[1] != 0.01 {
			t.Errorf("%s: busy expert %v, idle expert %v, want -0.01 and 0.01", p.Name, p.Data[0], p.Data[1])
		}
		for e := 2; e < len(p.Data); e++ {
			if p.Data[e] != 0 {
				t.Errorf("%s: expert %d with the mean load moved to %v", p.Name, e, p.Data[e])
			}
		}
		return
	}
	t.Fatal("the tiny model has no routing bias")
}

func TestMaxViolation(t *testing.T) {
	if got := MaxViolation([]int64{1, 2, 3, 6}); got != 1 {
		t.Errorf("got %v, want 1", got)
	}
	if got := MaxViolation(make([]int64, 4)); got != 0 {
		t.Errorf("no tokens: got %v", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"steps":            func(c *Config) { c.Steps = 0 },
		"gradient_slots":   func(c *Config) { c.Slots = 3 },
		"micro_rows":       func(c *Config) { c.MicroRows = 9 },
		"recompute":        func(c *Config) { c.Recompute = "some" },
		"non_finite":       func(c *Config) { c.NonFinite = "" },
		"loss.mtp":         func(c *Config) { c.Loss.MTP = math.NaN() },
		"loss.balance":     func(c *Config) { c.Loss.Balance = -1 },
		"loss.indexer":     func(c *Config) { c.Loss.Indexer = 1e9 },
		"router.bias_rate": func(c *Config) { c.Router.BiasRate = 2 },
		"optimizer.name":   func(c *Config) { c.Optimizer.Name = "" },
		"lr.peak":          func(c *Config) { c.LR.Peak = 0 },
	} {
		c := testConfig(4)
		change(&c)
		if err := c.Check(8); err == nil || !strings.HasPrefix(err.Error(), field+":") {
			t.Errorf("%s: error is %v", field, err)
		}
	}
}

func TestSlotRangesCoverRows(t *testing.T) {
	for _, rows := range []int{1, 4, 7, 64} {
		for slots := 1; slots <= rows; slots *= 2 {
			at := 0
			for i := range slots {
				lo, hi := slotRange(rows, slots, i)
				if lo != at || hi <= lo {
					t.Fatalf("slot %d of %d over %d rows is [%d, %d)", i, slots, rows, lo, hi)
				}
				at = hi
			}
			if at != rows {
				t.Errorf("%d slots cover %d of %d rows", slots, at, rows)
			}
		}
	}
}
