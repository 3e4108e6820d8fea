package replay_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/recipe/replay"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
)

// trials is how many honest runs are made, and how many times one is tampered
// with. scripts/trials.sh makes a thousand of each.
var trials = flag.Int("trials", 0, "honest runs, and tampered ones (default some)")

// count is how many trials are made, of which some are few.
func count(some int) int {
	switch {
	case *trials > 0:
		return *trials
	case testing.Short():
		return some / 4
	}
	return some
}

// tally counts how trials ended.
type tally map[string]int

func (c tally) String() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "%6d  %s\n", c[k], k)
	}
	return b.String()
}

// Whatever is changed of a run is found: without the signing key by form, with
// it by arithmetic, by a replay, or by a head that was kept.
func TestTamperingIsFound(t *testing.T) {
	found := tally{}
	n := count(2 * len(tampers))
	for i := range n {
		k := tampers[i%len(tampers)]
		rng := rand.New(rand.NewPCG(uint64(i), 1))
		x := shared(t).link(t)
		v := verifier{data: shared(t).root}
		what := k.do(t, x, rng, &v)
		r := x.judge(t, v.trust, all, replay.Options{Data: []string{v.data}})
		if r.Verdict == verify.Pass || r.Verdict != verify.Fail && !k.mayBeIncomplete {
			t.Fatalf("trial %d, %s, %s: %s\n%s", i, k.name, what, r.Verdict, says(r))
		}
		found[fmt.Sprintf("%-52s found by %s", k.name, foundBy(r))]++
		if err := os.RemoveAll(x.root); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d tampered runs found\n%s", n, n, found)
}

// foundBy names the kinds of checks that say that something is false, or else
// those that could not be made.
func foundBy(r *verify.Report) string {
	for _, result := range []verify.Verdict{verify.Fail, verify.Incomplete} {
		var kinds []string
		for _, c := range r.Checks {
			if k := kindOf(c.Name); c.Result == result && !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
		if len(kinds) > 0 {
			return strings.Join(kinds, ", ")
		}
	}
	return "nothing"
}

func kindOf(check string) string {
	switch check {
	case "manifest", "signer", "entries", "heads", "witness", "sequence", "steps taken twice", "end", "states", "files", "model":
		return "form"
	case "kept heads":
		return "a kept head"
	case "replay", "states loaded":
		return "replay"
	}
	return "arithmetic"
}

// link makes a run of the same files. To change one, replace it.
func (x *run) link(t testing.TB) *run {
	t.Helper()
	root, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	y := &run{root: root, dir: filepath.Join(root, "run"), key: x.key}
	linkTree(t, x.dir, y.dir)
	return y
}

func linkTree(t testing.TB, from, to string) {
	t.Helper()
	all, err := os.ReadDir(from)
	if err == nil {
		err = os.MkdirAll(to, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		a, b := filepath.Join(from, d.Name()), filepath.Join(to, d.Name())
		if d.IsDir() {
			linkTree(t, a, b)
		} else if err := os.Link(a, b); err != nil {
			t.Fatal(err)
		}
	}
}

// Honest runs pass, however they were computed, interrupted and continued, and
// however they are replayed.
func TestHonestRunsPass(t *testing.T) {
	passed := tally{}
	n := count(24)
	for i := range n {
		rng := rand.New(rand.NewPCG(uint64(i), 2))
		h := honest(t, rng)
		way := randomWay(rng)
		r := h.run.judge(t, runlog.Trust{Verifier: h.run.key.Verifier()}, all, replay.Options{Way: way, Data: []string{h.data}})
		if r.Verdict != verify.Pass || r.ReplayedSteps != r.Steps || r.Steps < 2 {
			t.Fatalf("trial %d: %s\n  replayed on %s: %s, %d of %d steps\n%s", i, h, way, r.Verdict, r.ReplayedSteps, r.Steps, says(r))
		}
		passed[fmt.Sprintf("replayed on %s", way.SIMD)]++
		passed[fmt.Sprintf("run on %s", strings.Join(h.paths, ", then "))]++
		passed[fmt.Sprintf("stopped and continued %d times", h.stops)]++
		if err := os.RemoveAll(h.run.root); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d honest runs pass\n%s", n, n, passed)
}

// honestRun is a run as somebody could make it.
type honestRun struct {
	run       *run
	data      string
	overrides []string
	paths     []string
	stops     int
}

func (h *honestRun) String() string {
	return fmt.Sprintf("%s on %s, stopped %d times", strings.Join(h.overrides, " "), strings.Join(h.paths, ", "), h.stops)
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func randomWay(rng *rand.Rand) replay.Way {
	paths := kernel.Paths()
	if len(paths) > 1 && rng.IntN(4) > 0 {
		paths = paths[1:] // plain Go is slow
	}
	return replay.Way{
		SIMD: pick(rng, paths...), Threads: 1 + rng.IntN(4), Micro: 1 + rng.IntN(4),
		Recompute: pick(rng, "none", "selective", "full"),
	}
}

// honest makes a run with a recipe, a way of computing and interruptions of chance.
func honest(t testing.TB, rng *rand.Rand) *honestRun {
	t.Helper()
	h := &honestRun{data: shared(t).root, run: &run{root: t.TempDir()}}
	h.overrides = []string{
		fmt.Sprintf("seed=%d", rng.IntN(1000)),
		fmt.Sprintf("stages[0].steps=%d", 2+rng.IntN(5)),
		fmt.Sprintf("stages[1].steps=%d", 3+rng.IntN(3)),
		fmt.Sprintf("stages[0].gradient_slots=%d", pick(rng, 1, 2, 4)),
		fmt.Sprintf("stages[0].micro_rows=%d", 1+rng.IntN(4)),
		fmt.Sprintf("stages[1].micro_rows=%d", 1+rng.IntN(3)),
		"stages[0].recompute=" + pick(rng, "none", "selective", "full"),
		"stages[0].optimizer.name=" + pick(rng, "muon", "adamw"),
		fmt.Sprintf("stages[0].router.train=%v", pick(rng, true, false)),
		fmt.Sprintf("record.digest_period=%d", pick(rng, 1, 2, 32)),
		fmt.Sprintf("checkpoint={every: %d, keep: %d}", pick(rng, 0, 1, 2, 3), 1+rng.IntN(3)),
	}
	var err error
	if h.run.key, err = runlog.NewKey(); err != nil {
		t.Fatal(err)
	}
	h.run.dir = filepath.Join(h.run.root, "run")
	for {
		_, none := os.Stat(h.run.dir)
		way := randomWay(rng)
		undo := compute(t, way)
		h.paths = append(h.paths, kernel.Path())
		err := h.carryOut(t, rng, none == nil)
		undo()
		if err == nil {
			return h
		}
		if !errors.Is(err, execution.ErrInterrupted) {
			t.Fatalf("%s: %v", h, err)
		}
		h.stops++
	}
}

// carryOut goes on until the end, or until a moment of chance.
func (h *honestRun) carryOut(t testing.TB, rng *rand.Rand, resume bool) error {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.data, "micro.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := recipe.Decode(text, filepath.Join(h.data, "micro.yaml"), h.overrides)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	left := -1
	if h.stops < 3 && rng.IntN(2) == 0 {
		left = rng.IntN(25)
	}
	o := execution.Options{
		Dir: h.run.dir, Key: h.run.key, Resume: resume, Now: time.Now, FS: durabletest.NoSync(durable.OS),
		Observer: execution.ObserverFunc(func(execution.Event) {
			if left--; left == 0 {
				cancel()
			}
		}),
	}
	_, err = execution.Run(ctx, r, o)
	if errors.Is(err, execution.ErrInterrupted) {
		if _, none := os.Stat(filepath.Join(h.run.dir, "record")); none != nil {
			return errors.Join(err, os.RemoveAll(h.run.dir)) // stopped before it began
		}
	}
	return err
}
