package replay_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/temper-ml/temper/recipe/replay"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/train/checkpoint"
)

// verifier is what whoever verifies has.
type verifier struct {
	trust runlog.Trust
	data  string
}

// tamper is a way to change a run after it was made.
type tamper struct {
	name string
	// mayBeIncomplete: what is at hand can be unsuited without the run being false.
	mayBeIncomplete bool
	do              func(t testing.TB, x *run, rng *rand.Rand, v *verifier) (what string)
}

// tampers are tried in turn.
var tampers = []tamper{
	{"without the key: a bit of the weights", false, flipIn("model", "*.safetensors")},
	{"without the key: a bit of a checkpoint", false, flipIn("checkpoints", "*/*/*")},
	{"without the key: a bit of a data file", true, flipData},
	{"without the key: a bit of the record", false, flipIn("record", "*")},
	{"without the key: a bit of recipe, tokenizer or config", false, flipIn(".", "recipe.yaml", "tokenizer.json", "model/*.json")},
	{"without the key: a batch", false, editStep(func(s *record.Step, _ *rand.Rand) { s.Batch = other })},
	{"without the key: a loss", false, editStep(func(s *record.Step, rng *rand.Rand) { s.Losses["lm"] *= 1 - rng.Float64()/2 })},
	{"without the key: times", false, editStep(func(s *record.Step, _ *rand.Rand) { halve(s) })},
	{"without the key: a step dropped", false, dropLine},
	{"without the key: two entries reordered", false, swapLines},
	{"without the key: a step forged in between", false, repeatLine},
	{"without the key: the tail rewritten", false, rewriteTail},
	{"without the key: the tail cut off, with its heads", true, cutTail},
	{"with the key: a batch", false, forgeStep(func(s *record.Step, _ *rand.Rand) { s.Batch = other })},
	{"with the key: a loss, by the last bit", false, forgeStep(lastBitOfALoss)},
	{"with the key: norm, routing, digests or operations", false, forgeStep(someQuantity)},
	{"with the key: a step dropped and totals put right", false, forgeDropped},
	{"with the key: two steps exchanged", false, forgeExchanged},
	{"with the key: a step forged from the one before", false, forgeCopied},
	{"with the key: an evaluation", false, forgeEvaluation},
	{"with the key: how tokens were routed", false, forgeRouting},
	{"with the key: the tail of another run, with its states", false, forgeTail},
	{"with the key: the weights of another run", false, forgeWeights},
	{"with the key: a bit of a checkpoint, its digests put right", false, forgeCheckpoint},
	{"with the key: other data said to be trained on", false, forgeData},
	{"with the key: another seed or learning rate said", false, forgeRecipe},
	{"with the key: all times halved, head kept", false, forgeTimes},
	{"with another key: the record made anew, head kept", false, forgeKey},
}

var other = record.SHA256([]byte("other"))

// replaceFile changes a file that may be linked to the shared run's.
func replaceFile(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.Remove(path)
	}
	if err == nil {
		err = os.WriteFile(path, change(b), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// flipIn flips a bit of a file that one of the patterns names, by its length, so
// that large files are not the only ones.
func flipIn(dir string, patterns ...string) func(testing.TB, *run, *rand.Rand, *verifier) string {
	return func(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
		var names []string
		for _, p := range patterns {
			found, err := filepath.Glob(filepath.Join(x.dir, dir, p))
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, found...)
		}
		names = slices.DeleteFunc(names, func(n string) bool { return filepath.Base(n) == "LOCK" })
		name := pick(rng, names...)
		at := 0
		replaceFile(t, name, func(b []byte) []byte {
			at = rng.IntN(8 * len(b))
			b[at/8] ^= 1 << (at % 8)
			return b
		})
		return fmt.Sprintf("bit %d of %s", at, name)
	}
}

// flipData gives the verifier data of which one bit was changed.
func flipData(t testing.TB, x *run, rng *rand.Rand, v *verifier) string {
	v.data = filepath.Join(x.root, "data")
	if err := os.CopyFS(v.data, os.DirFS(filepath.Join(shared(t).root, "data"))); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(v.data, pick(rng, "text.txt", "questions.jsonl", "held_out.jsonl"))
	replaceFile(t, name, func(b []byte) []byte {
		at := rng.IntN(8 * len(b))
		b[at/8] ^= 1 << (at % 8)
		return b
	})
	return name
}

// lines changes the lines of the log.
func (x *run) lines(t testing.TB, change func([][]byte) [][]byte) {
	t.Helper()
	replaceFile(t, filepath.Join(x.dir, "record", "log"), func(b []byte) []byte {
		return bytes.Join(change(bytes.SplitAfter(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))), nil)
	})
}

// stepLines are the places of steps among the lines of a log.
func stepLines(lines [][]byte) []int {
	var at []int
	for i, l := range lines {
		if bytes.Contains(l, []byte(`"kind":"step"`)) {
			at = append(at, i)
		}
	}
	return at
}

// editStep changes a step in the log, in canonical form, and signs nothing.
func editStep(change func(*record.Step, *rand.Rand)) func(testing.TB, *run, *rand.Rand, *verifier) string {
	return func(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
		var what string
		x.lines(t, func(lines [][]byte) [][]byte {
			i := pick(rng, stepLines(lines)...)
			e := &record.Entry{}
			if err := record.Unmarshal(bytes.TrimSpace(lines[i]), e); err != nil {
				t.Fatal(err)
			}
			change(e.Body.(*record.Step), rng)
			text, err := record.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			what = fmt.Sprintf("entry %d", e.Index)
			lines[i] = append(text, '\n')
			return lines
		})
		return what
	}
}

// halve makes a step twice as fast.
func halve(s *record.Step) {
	for _, p := range []*int64{&s.Time.Data, &s.Time.Forward, &s.Time.Backward, &s.Time.Model, &s.Time.Optimizer, &s.Time.Other} {
		*p /= 2
	}
	s.Time.Wall = s.Time.Data + s.Time.Forward + s.Time.Backward + s.Time.Model + s.Time.Optimizer + s.Time.Other
	s.MFU *= 2
}

// renumber gives the lines the numbers of their places.
func renumber(t testing.TB, lines [][]byte) [][]byte {
	t.Helper()
	for i, l := range lines {
		e := &record.Entry{}
		if err := record.Unmarshal(bytes.TrimSpace(l), e); err != nil {
			t.Fatal(err)
		}
		e.Index = int64(i + 1)
		text, err := record.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = append(text, '\n')
	}
	return lines
}

func dropLine(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	x.lines(t, func(lines [][]byte) [][]byte {
		i := pick(rng, stepLines(lines)...)
		lines = slices.Delete(lines, i, i+1)
		if rng.IntN(2) == 0 {
			lines = renumber(t, lines)
		}
		return lines
	})
	return ""
}

func swapLines(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	x.lines(t, func(lines [][]byte) [][]byte {
		i := rng.IntN(len(lines) - 1)
		lines[i], lines[i+1] = lines[i+1], lines[i]
		return lines
	})
	return ""
}

func repeatLine(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	x.lines(t, func(lines [][]byte) [][]byte {
		i := pick(rng, stepLines(lines)...)
		return renumber(t, slices.Insert(lines, i, lines[i]))
	})
	return ""
}

// rewriteTail changes all losses from some step on.
func rewriteTail(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	x.lines(t, func(lines [][]byte) [][]byte {
		steps := stepLines(lines)
		for _, i := range steps[rng.IntN(len(steps)):] {
			_, rest, _ := strings.Cut(string(lines[i]), `"lm":`)
			end := strings.IndexAny(rest, ",}")
			v, err := strconv.ParseFloat(rest[:end], 64)
			if err != nil {
				t.Fatal(err)
			}
			better, err := record.Marshal(v / 2)
			if err != nil {
				t.Fatal(err)
			}
			lines[i] = []byte(strings.Replace(string(lines[i]), `"lm":`+rest[:end], `"lm":`+string(better), 1))
		}
		return lines
	})
	return ""
}

// cutTail leaves the record of an earlier moment: true, and not of a whole run.
func cutTail(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	heads := x.heads(t)
	k := 1 + rng.IntN(len(heads)-1)
	replaceFile(t, filepath.Join(x.dir, "record", "heads"), func([]byte) []byte { return bytes.Join(heads[:k], nil) })
	size, err := strconv.Atoi(strings.Split(string(heads[k-1]), "\n")[1])
	if err != nil {
		t.Fatal(err)
	}
	x.lines(t, func(lines [][]byte) [][]byte { return lines[:size-1] })
	return fmt.Sprintf("%d leaves", size)
}

// heads are the notes that were signed, in order.
func (x *run) heads(t testing.TB) [][]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(x.dir, "record", "heads"))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, h := range bytes.SplitAfter(b, []byte("\n"+record.Format+"\n")) {
		if len(all) > 0 {
			h = append([]byte(record.Format+"\n"), h...)
		}
		all = append(all, bytes.TrimSuffix(h, []byte(record.Format+"\n")))
	}
	return all
}

// steps are the step entries among bodies.
func stepsOf(bodies []record.Body) (all []*record.Step) {
	for _, b := range bodies {
		if s, ok := b.(*record.Step); ok {
			all = append(all, s)
		}
	}
	return all
}

func endOf(bodies []record.Body) *record.End { return bodies[len(bodies)-1].(*record.End) }

// forgeStep changes a step and signs everything anew.
func forgeStep(change func(*record.Step, *rand.Rand)) func(testing.TB, *run, *rand.Rand, *verifier) string {
	return func(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
		var what string
		x.forge(t, func(bodies []record.Body) []record.Body {
			s := pick(rng, stepsOf(bodies)...)
			change(s, rng)
			what = fmt.Sprintf("step %d of stage %d", s.Step, s.Stage)
			return bodies
		})
		return what
	}
}

func lastBitOfALoss(s *record.Step, rng *rand.Rand) {
	var names []string
	for name := range s.Losses {
		names = append(names, name)
	}
	slices.Sort(names)
	name := pick(rng, names...)
	s.Losses[name] = math.Nextafter(s.Losses[name], 0)
}

func someQuantity(s *record.Step, rng *rand.Rand) {
	switch rng.IntN(7) {
	case 0:
		s.GradNorm = math.Nextafter(s.GradNorm, 0)
	case 1:
		s.Load.Table = other
	case 2:
		s.Load.Max = math.Round(s.Load.Max*1e4-1) / 1e4
	case 3:
		s.Parameters = other
	case 4:
		s.Optimizer = other
	case 5:
		s.Bias = other
	case 6:
		s.FLOPs++
	}
}

func forgeDropped(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	x.forge(t, func(bodies []record.Body) []record.Body {
		gone := pick(rng, stepsOf(bodies)...)
		end := endOf(bodies)
		end.Steps, end.Examples, end.Tokens, end.Supervised = end.Steps-1, end.Examples-gone.Examples, end.Tokens-gone.Tokens, end.Supervised-gone.Supervised
		var out []record.Body
		for _, b := range bodies {
			switch b := b.(type) {
			case *record.Step:
				if b == gone {
					continue
				}
				if b.Stage == gone.Stage && b.Step > gone.Step {
					b.Step--
				}
			case *record.Stage:
				if b.Stage == gone.Stage {
					b.Steps--
				}
			case *record.Checkpoint:
				if b.Stage == gone.Stage && b.Step > gone.Step {
					b.Step--
				}
			case *record.Evaluation:
				if b.Stage == gone.Stage && b.Step > gone.Step {
					b.Step--
				}
			case *record.Routing:
				if b.Stage == gone.Stage && b.To > gone.Step {
					b.From, b.To = max(0, b.From-1), b.To-1
				}
			case *record.Times:
				if b.Stage == gone.Stage && b.To > gone.Step {
					b.From, b.To = max(0, b.From-1), b.To-1
				}
			}
			out = append(out, b)
		}
		return out
	})
	return ""
}

func forgeExchanged(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	x.forge(t, func(bodies []record.Body) []record.Body {
		all := stepsOf(bodies)
		i := rng.IntN(len(all) - 1)
		for all[i].Stage != all[i+1].Stage {
			i = rng.IntN(len(all) - 1)
		}
		*all[i], *all[i+1] = *all[i+1], *all[i]
		all[i].Step, all[i+1].Step = all[i+1].Step, all[i].Step
		return bodies
	})
	return ""
}

func forgeCopied(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	x.forge(t, func(bodies []record.Body) []record.Body {
		all := stepsOf(bodies)
		i := 1 + rng.IntN(len(all)-1)
		for all[i].Stage != all[i-1].Stage {
			i = 1 + rng.IntN(len(all)-1)
		}
		was, end := *all[i], endOf(bodies)
		*all[i] = *all[i-1]
		all[i].Step, all[i].LR = was.Step, was.LR
		end.Examples, end.Tokens, end.Supervised = end.Examples+all[i].Examples-was.Examples, end.Tokens+all[i].Tokens-was.Tokens, end.Supervised+all[i].Supervised-was.Supervised
		return bodies
	})
	return ""
}

func forgeEvaluation(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	x.forge(t, func(bodies []record.Body) []record.Body {
		var all []*record.Evaluation
		for _, b := range bodies {
			if e, ok := b.(*record.Evaluation); ok {
				all = append(all, e)
			}
		}
		e := pick(rng, all...)
		if e.HeldOut != nil {
			e.HeldOut.Loss = math.Nextafter(e.HeldOut.Loss, 0)
		}
		for name, s := range e.Suites {
			e.Suites[name] = record.Score{Kind: s.Kind, Right: s.Right + 1, Total: s.Total}
		}
		for name, m := range e.Metrics {
			m.Value = math.Nextafter(m.Value, 1e9)
			e.Metrics[name] = m
		}
		return bodies
	})
	return ""
}

// forgeRouting moves a token from one expert to another.
func forgeRouting(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	x.forge(t, func(bodies []record.Body) []record.Body {
		var all []*record.Routing
		for _, b := range bodies {
			if r, ok := b.(*record.Routing); ok {
				all = append(all, r)
			}
		}
		counts := pick(rng, pick(rng, all...).Counts...)
		i := slices.Index(counts, slices.Max(counts))
		counts[i]--
		counts[(i+1)%len(counts)]++
		return bodies
	})
	return ""
}

// another is a run of the same recipe but for its learning rate.
var another = sync.OnceValue(func() func(t testing.TB) *run {
	var x *run
	return func(t testing.TB) *run {
		if x == nil {
			root, err := os.MkdirTemp("", "temper-micro-")
			if err != nil {
				t.Fatal(err)
			}
			x = train(t, root, micro, replay.Way{Threads: 2}, "stages[0].lr.peak=2e-2")
		}
		return x
	}
})()

// forgeTail lets a run go on, from some step, as another one did: entries,
// checkpoints and model are that one's.
func forgeTail(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	o := another(t)
	_, theirs := o.entries(t)
	at := 0
	x.forge(t, func(bodies []record.Body) []record.Body {
		steps := stepsOf(bodies)
		from := steps[rng.IntN(len(steps)-1)]
		at = slices.Index(bodies, record.Body(from))
		for i := at; i < len(bodies); i++ {
			said := theirs[i].Body
			if s, ok := said.(*record.Step); ok { // the rate that the recipe asks for
				s.LR = bodies[i].(*record.Step).LR
			}
			if s, ok := said.(*record.Stage); ok {
				s.LR = bodies[i].(*record.Stage).LR
			}
			bodies[i] = said
			if c, ok := said.(*record.Checkpoint); ok {
				path := filepath.FromSlash(c.Path)
				if _, err := os.Stat(filepath.Join(x.dir, path)); err == nil {
					exchange(t, filepath.Join(o.dir, path), filepath.Join(x.dir, path))
				}
			}
		}
		return bodies
	})
	exchange(t, filepath.Join(o.dir, "model"), filepath.Join(x.dir, "model"))
	return fmt.Sprintf("from entry %d on", at+1)
}

// exchange puts one directory in the place of another.
func exchange(t testing.TB, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	linkTree(t, from, to)
}

func forgeWeights(t testing.TB, x *run, _ *rand.Rand, _ *verifier) string {
	o := another(t)
	_, theirs := o.entries(t)
	x.forge(t, func(bodies []record.Body) []record.Body {
		said := theirs[len(theirs)-1].Body.(*record.End)
		endOf(bodies).Export, endOf(bodies).Weights = said.Export, said.Weights
		return bodies
	})
	exchange(t, filepath.Join(o.dir, "model"), filepath.Join(x.dir, "model"))
	return ""
}

// forgeCheckpoint changes one bit of a value in a save, and makes the save and
// the record say that it has always been so.
func forgeCheckpoint(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	saves, err := filepath.Glob(filepath.Join(x.dir, "checkpoints", "*", "save-*"))
	if err != nil {
		t.Fatal(err)
	}
	path := pick(rng, saves...)
	all, err := checkpoint.List(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	e := all[slices.IndexFunc(all, func(e checkpoint.Entry) bool { return e.Path == path })]
	state, err := e.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	for i := range state.Tensors {
		n := 1
		for _, d := range state.Tensors[i].Shape {
			n *= d
		}
		state.Tensors[i].Data = make([]float32, n)
	}
	if _, err := e.Load(state.Tensors); err != nil {
		t.Fatal(err)
	}
	v := pick(rng, state.Tensors...).Data
	i := rng.IntN(len(v))
	v[i] = math.Float32frombits(math.Float32bits(v[i]) ^ 1<<rng.IntN(23))
	temp := t.TempDir()
	store, err := checkpoint.OpenStore(temp, checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	saved, err := store.Save(state)
	store.Close()
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, saved.Path, path)
	rel, err := filepath.Rel(x.dir, path)
	if err != nil {
		t.Fatal(err)
	}
	x.redeclare(t, filepath.ToSlash(rel), state)
	return rel
}

// redeclare makes the record have the digests of a save as it is now.
func (x *run) redeclare(t testing.TB, path string, state *checkpoint.State) {
	t.Helper()
	var meta struct {
		Updates int64 `json:"updates"`
	}
	if err := json.Unmarshal(state.Meta, &meta); err != nil {
		t.Fatal(err)
	}
	parameters, optimizer := stateDigests(t, state.Tensors, meta.Updates)
	x.forge(t, func(bodies []record.Body) []record.Body {
		for _, b := range bodies {
			c, ok := b.(*record.Checkpoint)
			if !ok || c.Path != path {
				continue
			}
			text, err := fs.ReadFile(os.DirFS(x.dir), path+"/manifest.json")
			if err != nil {
				t.Fatal(err)
			}
			c.Content, c.Parameters, c.Optimizer = record.SHA256(text), parameters, optimizer
		}
		return bodies
	})
}

// stateDigests are the digests of a state, of which all blocks are covered.
func stateDigests(t testing.TB, tensors []checkpoint.Tensor, updates int64) (parameters, optimizer record.Digest) {
	t.Helper()
	var lists [2][]digest.Tensor
	lists[1] = append(lists[1], digest.Tensor{Name: "updates", Integer: true, Size: 2})
	of := func(name string) int { // slots have a prefix
		for _, slot := range []string{"first/", "second/", "momentum/"} {
			if strings.HasPrefix(name, slot) {
				return 1
			}
		}
		return 0
	}
	for _, x := range tensors {
		lists[of(x.Name)] = append(lists[of(x.Name)], digest.Tensor{Name: x.Name, Size: int64(len(x.Data))})
	}
	var sums [2]record.Digest
	for i, list := range lists {
		l, err := digest.NewLayout(list, 1)
		if err != nil {
			t.Fatal(err)
		}
		s := digest.NewState(l)
		s.Reset(0)
		for _, x := range tensors {
			if of(x.Name) == i {
				err = errors.Join(err, s.Add(x.Name, 0, x.Data))
			}
		}
		if i == 1 {
			err = errors.Join(err, s.AddInts("updates", 0, []int32{int32(updates), int32(updates >> 32)}))
		}
		sum, sumErr := s.Sum()
		if err = errors.Join(err, sumErr); err != nil {
			t.Fatal(err)
		}
		sums[i] = record.Digest(sum.String())
	}
	return sums[0], sums[1]
}

// forgeData says that the run trained on cleaner data than it did.
func forgeData(t testing.TB, x *run, rng *rand.Rand, v *verifier) string {
	v.data = filepath.Join(x.root, "data")
	if err := os.CopyFS(v.data, os.DirFS(filepath.Join(shared(t).root, "data"))); err != nil {
		t.Fatal(err)
	}
	name := pick(rng, "data/questions.jsonl", "data/text.txt")
	replaceFile(t, filepath.Join(x.root, name), func(b []byte) []byte {
		for {
			i := rng.IntN(len(b))
			if b[i] >= '0' && b[i] <= '8' {
				b[i]++
				return b
			}
		}
	})
	text, err := os.ReadFile(filepath.Join(x.root, name))
	if err != nil {
		t.Fatal(err)
	}
	x.forgeManifest(t, func(m *record.Manifest) {
		for i := range m.Data {
			if m.Data[i].Path == name {
				m.Data[i].Digest, m.Data[i].Bytes = record.SHA256(text), int64(len(text))
			}
		}
	})
	return name
}

func forgeRecipe(t testing.TB, x *run, rng *rand.Rand, _ *verifier) string {
	from, to := "weight_decay: 0.1", "weight_decay: 0.2"
	x.forgeManifest(t, func(m *record.Manifest) {
		if rng.IntN(2) == 0 || !strings.Contains(m.Recipe, from) {
			from, to = "seed: 1\n", "seed: 2\n"
			m.Seed = 2
		}
		m.Recipe = strings.Replace(m.Recipe, from, to, 1)
		replaceFile(t, filepath.Join(x.dir, "recipe.yaml"), func([]byte) []byte { return []byte(m.Recipe) })
	})
	return to
}

// forgeManifest changes the manifest and signs everything anew.
func (x *run) forgeManifest(t testing.TB, change func(*record.Manifest)) {
	t.Helper()
	m, all := x.entries(t)
	change(m)
	var bodies []record.Body
	times := map[record.Body]int64{}
	for _, e := range all {
		bodies = append(bodies, e.Body)
		times[e.Body] = e.Time
	}
	x.write(t, m, bodies, times)
}

// keepHead has the verifier keep a head of the run as it was, which covers a
// step at least.
func (x *run) keepHead(t testing.TB, rng *rand.Rand, v *verifier) {
	t.Helper()
	_, all := x.entries(t)
	first := slices.IndexFunc(all, func(e *record.Entry) bool { return e.Kind == "step" })
	var heads []*runlog.Head
	for _, note := range x.heads(t) {
		h, err := runlog.ParseHead(note, x.key.Verifier())
		if err != nil {
			t.Fatal(err)
		}
		if h.Size > int64(first)+1 {
			heads = append(heads, h)
		}
	}
	v.trust.Heads = []*runlog.Head{pick(rng, heads...)}
}

// forgeTimes makes the run twice as fast, which no replay can find.
func forgeTimes(t testing.TB, x *run, rng *rand.Rand, v *verifier) string {
	x.keepHead(t, rng, v)
	m, all := x.entries(t)
	var bodies []record.Body
	times := map[record.Body]int64{}
	for _, e := range all {
		if s, ok := e.Body.(*record.Step); ok {
			halve(s)
		}
		bodies = append(bodies, e.Body)
		times[e.Body] = m.Started + (e.Time-m.Started)/2
	}
	x.write(t, m, bodies, times)
	return ""
}

// forgeKey makes the record anew with a key of its own.
func forgeKey(t testing.TB, x *run, rng *rand.Rand, v *verifier) string {
	x.keepHead(t, rng, v)
	v.trust.Verifier = x.key.Verifier()
	var err error
	if x.key, err = runlog.NewKey(); err != nil {
		t.Fatal(err)
	}
	x.forge(t, func(bodies []record.Body) []record.Body { return bodies })
	return ""
}
