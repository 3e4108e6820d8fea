package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/report/verify/verifytest"
)

// trial is a copy of a run that is tampered with.
type trial struct {
	*testing.T
	dir  string
	key  *runlog.Key // the run's own
	draw func(n int) int
}

func (t *trial) path(name string) string { return filepath.Join(t.dir, name) }

// text changes a file.
func (t *trial) text(name string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(t.path(name))
	if err != nil {
		t.Fatal(err)
	}
	after := change(bytes.Clone(b))
	if bytes.Equal(b, after) {
		t.Fatalf("%s was not changed", name)
	}
	if err := os.Remove(t.path(name)); err != nil { // it is linked to the run's own
		t.Fatal(err)
	}
	if err := os.WriteFile(t.path(name), after, 0o644); err != nil {
		t.Fatal(err)
	}
}

// link makes a directory of links to the files of another.
func link(to, from string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil || d.IsDir() {
			return errors.Join(err, os.MkdirAll(filepath.Join(to, rel), 0o755))
		}
		return os.Link(name, filepath.Join(to, rel))
	})
}

// bit flips one bit of a file.
func (t *trial) bit(name string) {
	t.text(name, func(b []byte) []byte {
		i := t.draw(8 * len(b))
		b[i/8] ^= 1 << (i % 8)
		return b
	})
}

// lines changes the lines of the log.
func (t *trial) lines(change func([][]byte) [][]byte) {
	t.text("record/log", func(b []byte) []byte {
		return bytes.Join(change(bytes.SplitAfter(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))), nil)
	})
}

// steps are the indexes of lines that are step entries.
func steps(lines [][]byte) []int {
	var is []int
	for i, l := range lines {
		if bytes.Contains(l, []byte(`"kind":"step"`)) {
			is = append(is, i)
		}
	}
	return is
}

// member changes the number or text of a member in one drawn step's line.
func (t *trial) member(pattern string, change func(string) string) {
	re := regexp.MustCompile(pattern)
	t.lines(func(ls [][]byte) [][]byte {
		var is []int
		for _, i := range steps(ls) {
			if re.Match(ls[i]) {
				is = append(is, i)
			}
		}
		i := is[t.draw(len(is))]
		m := re.FindSubmatchIndex(ls[i])
		ls[i] = slices.Concat(ls[i][:m[2]], []byte(change(string(ls[i][m[2]:m[3]]))), ls[i][m[3]:])
		return ls
	})
}

func half(s string) string {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return strconv.FormatInt(n/2, 10)
}

// forge changes entries and signs anew.
func (t *trial) forge(key *runlog.Key, change func(*record.Manifest, []*record.Entry) []*record.Entry) {
	t.Helper()
	if err := verifytest.Forge(t.dir, key, change); err != nil {
		t.Fatal(err)
	}
}

// forgeStep changes a drawn step that was not skipped, and signs anew.
func (t *trial) forgeStep(key *runlog.Key, change func(*record.Step)) {
	t.forge(key, func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
		var ss []*record.Step
		for _, e := range es {
			if s, ok := e.Body.(*record.Step); ok && s.Skipped == "" {
				ss = append(ss, s)
			}
		}
		change(ss[t.draw(len(ss))])
		return es
	})
}

// forgeExport signs anew that the model's file is as it is now.
func (t *trial) forgeExport(name string) {
	b, err := os.ReadFile(t.path("model/" + name))
	if err != nil {
		t.Fatal(err)
	}
	t.forge(t.key, func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
		es[len(es)-1].Body.(*record.End).Export[name] = record.SHA256(b)
		return es
	})
}

// halve halves the times of entries, the wall times of steps, or both, and what
// is derived from them.
func halve(clock, walls bool) func(*record.Manifest, []*record.Entry) []*record.Entry {
	return func(m *record.Manifest, es []*record.Entry) []*record.Entry {
		for _, e := range es {
			if clock {
				e.Time = m.Started + (e.Time-m.Started)/2
			}
			if s, ok := e.Body.(*record.Step); ok && walls {
				s.Time = record.Split{Wall: s.Time.Wall / 2, Other: s.Time.Wall / 2}
				s.MFU = s.FLOPs / (5e10 * (float64(s.Time.Wall) / 1e9))
			}
		}
		return es
	}
}

// checkpointFiles are those of all checkpoints.
func (t *trial) checkpointFiles() []string {
	names, err := filepath.Glob(t.path("checkpoints/*/*/*"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for i, n := range names {
		names[i], _ = filepath.Rel(t.dir, n)
	}
	return names
}

// heads splits the file of heads.
func heads(b []byte) [][]byte {
	var out [][]byte
	for len(b) > 0 {
		n := bytes.Index(b[1:], []byte(record.Format+"\n"))
		if n < 0 {
			n = len(b) - 1
		}
		out = append(out, b[:n+1])
		b = b[n+1:]
	}
	return out
}

// knows is what the verifier has from elsewhere: nothing, the key, or a head that
// was kept when half of the run was over.
type knows int

const (
	nothing knows = iota
	theKey
	aHead
)

// fraud is one way to tamper.
type fraud struct {
	name  string
	knows knows
	do    func(*trial)
	// by are the checks that may find it: the first that does not pass must be one.
	by []string
	// replay says that only taking the steps again finds it.
	replay bool
}

func frauds() []fraud {
	digest := `"batch":"sha256:([0-9a-f]{64})"`
	other := func(string) string { return strings.Repeat("0123456789abcdef", 4) }
	return []fraud{
		// Without the key.
		{name: "loss", do: func(t *trial) { t.member(`"lm":(\d\.\d+)`, func(string) string { return "1.5" }) }, by: []string{"heads"}},
		{name: "batch digest", do: func(t *trial) { t.member(digest, other) }, by: []string{"heads"}},
		{name: "wall time", do: func(t *trial) { t.member(`"other":(\d+)`, half) }, by: []string{"entries"}},
		{name: "entry time", do: func(t *trial) { t.member(`"time":(\d+)\}\n`, func(s string) string { return s[:len(s)-1] + "0" }) }, by: []string{"heads", "entries"}},
		{name: "all entry times halved", do: func(t *trial) {
			t.lines(func(ls [][]byte) [][]byte {
				re := regexp.MustCompile(`"time":(\d+)\}\n?$`)
				for i, l := range ls {
					m := re.FindSubmatchIndex(l)
					ls[i] = slices.Concat(l[:m[2]], []byte(half(string(l[m[2]:m[3]]))), l[m[3]:])
				}
				return ls
			})
		}, by: []string{"heads"}},
		{name: "all wall times halved", do: func(t *trial) {
			t.lines(func(ls [][]byte) [][]byte {
				re := regexp.MustCompile(`"time":\{[^}]*\}`)
				num := regexp.MustCompile(`\d+`)
				for _, i := range steps(ls) {
					ls[i] = re.ReplaceAllFunc(ls[i], func(b []byte) []byte {
						return num.ReplaceAllFunc(b, func(n []byte) []byte { return []byte(half(string(n))) })
					})
				}
				return ls
			})
		}, by: []string{"heads", "entries"}},
		{name: "step dropped", do: func(t *trial) {
			t.lines(func(ls [][]byte) [][]byte {
				is := steps(ls)
				i := is[t.draw(len(is))]
				return slices.Delete(ls, i, i+1)
			})
		}, by: []string{"entries"}},
		{name: "step duplicated", do: func(t *trial) {
			t.lines(func(ls [][]byte) [][]byte {
				is := steps(ls)
				i := is[t.draw(len(is))]
				return slices.Insert(ls, i, ls[i])
			})
		}, by: []string{"entries"}},
		{name: "steps reordered", do: func(t *trial) {
			t.lines(func(ls [][]byte) [][]byte {
				is := steps(ls)
				i, j := t.draw(len(is)), t.draw(len(is)-1)
				if j >= i {
					j++
				}
				ls[is[i]], ls[is[j]] = ls[is[j]], ls[is[i]]
				return ls
			})
		}, by: []string{"entries"}},
		{name: "step forged", do: func(t *trial) {
			t.lines(func(ls [][]byte) [][]byte {
				is := steps(ls)
				i, j := t.draw(len(is)), t.draw(len(is)-1)
				if j >= i {
					j++
				}
				re := regexp.MustCompile(`"index":\d+,"kind":"step","time":\d+`)
				ls[is[i]] = re.ReplaceAll(ls[is[j]], re.Find(ls[is[i]]))
				return ls
			})
		}, by: []string{"heads"}},
		{name: "tail rewritten", do: func(t *trial) {
			t.lines(func(ls [][]byte) [][]byte {
				re := regexp.MustCompile(`"grad_norm":\d`)
				is := steps(ls)
				for _, i := range is[t.draw(len(is)-4):] {
					ls[i] = re.ReplaceAll(ls[i], []byte(`"grad_norm":7`))
				}
				return ls
			})
		}, by: []string{"heads", "entries"}},
		{name: "tail cut off", do: func(t *trial) {
			t.lines(func(ls [][]byte) [][]byte { return ls[:1+t.draw(len(ls)-1)] })
		}, by: []string{"heads"}},
		{name: "cut within an entry", do: func(t *trial) {
			t.text("record/log", func(b []byte) []byte { return b[:1+t.draw(len(b)-2)] })
		}, by: []string{"heads"}},
		{name: "any bit of the log", do: func(t *trial) { t.bit("record/log") }, by: []string{"entries", "heads"}},
		{name: "any bit of the heads", do: func(t *trial) { t.bit("record/heads") }, by: []string{"heads"}},
		{name: "any bit of the manifest", do: func(t *trial) { t.bit("record/manifest.json") }, by: []string{"manifest", "heads"}},
		{name: "head dropped", do: func(t *trial) {
			t.text("record/heads", func(b []byte) []byte {
				hs := heads(b)
				i := t.draw(len(hs))
				return bytes.Join(slices.Delete(hs, i, i+1), nil)
			})
		}, by: []string{"heads"}},
		{name: "heads reordered", do: func(t *trial) {
			t.text("record/heads", func(b []byte) []byte {
				hs := heads(b)
				i := t.draw(len(hs) - 1)
				hs[i], hs[i+1] = hs[i+1], hs[i]
				return bytes.Join(hs, nil)
			})
		}, by: []string{"heads"}},
		{name: "run cut short with its heads", do: func(t *trial) {
			var size int64
			t.text("record/heads", func(b []byte) []byte {
				hs := heads(b)
				n := 2 + t.draw(len(hs)-2)
				size, _ = strconv.ParseInt(strings.Split(string(hs[n-1]), "\n")[1], 10, 64)
				return bytes.Join(hs[:n], nil)
			})
			t.lines(func(ls [][]byte) [][]byte { return ls[:size-1] })
		}, by: []string{"end"}},
		{name: "same, and a head was kept", knows: aHead, do: func(t *trial) {
			var size int64
			t.text("record/heads", func(b []byte) []byte {
				hs := heads(b)
				n := 2 + t.draw(len(hs)/2-2)
				size, _ = strconv.ParseInt(strings.Split(string(hs[n-1]), "\n")[1], 10, 64)
				return bytes.Join(hs[:n], nil)
			})
			t.lines(func(ls [][]byte) [][]byte { return ls[:size-1] })
		}, by: []string{"kept heads"}},
		{name: "bit of a checkpoint", do: func(t *trial) { fs := t.checkpointFiles(); t.bit(fs[t.draw(len(fs))]) }, by: []string{"files"}},
		{name: "bit of the weights", do: func(t *trial) { t.bit("model/model.safetensors") }, by: []string{"files"}},
		{name: "bit of the tokenizer", do: func(t *trial) { t.bit("tokenizer.json") }, by: []string{"files"}},
		{name: "bit of the recipe", do: func(t *trial) { t.bit("recipe.yaml") }, by: []string{"files"}},
		{name: "file added to the model", do: func(t *trial) {
			if err := os.WriteFile(t.path("model/extra.py"), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, by: []string{"files"}},

		// By another key, everything consistent.
		{name: "halved, other key", knows: theKey, do: func(t *trial) { t.forge(verifytest.Key(9), halve(true, true)) }, by: []string{"signer"}},
		{name: "loss, other key", knows: theKey, do: func(t *trial) {
			t.forgeStep(verifytest.Key(9), func(s *record.Step) { s.Losses["lm"] = 1 })
		}, by: []string{"signer"}},

		// By the run's own key, against a head kept elsewhere.
		{name: "halved, own key, kept head", knows: aHead, do: func(t *trial) { t.forge(t.key, halve(true, true)) }, by: []string{"kept heads"}},
		{name: "manifest, own key, kept head", knows: aHead, do: func(t *trial) {
			t.forge(t.key, func(m *record.Manifest, es []*record.Entry) []*record.Entry { m.Hosts[0].Cores = 64; return es })
		}, by: []string{"kept heads"}},
		{name: "nothing changed but the key", knows: aHead, do: func(t *trial) {
			t.forge(verifytest.Key(9), func(_ *record.Manifest, es []*record.Entry) []*record.Entry { return es })
		}, by: []string{"kept heads"}},

		// By the run's own key, nothing kept: arithmetic.
		{name: "entry clock halved", do: func(t *trial) { t.forge(t.key, halve(true, false)) }, by: []string{"clock"}},
		{name: "walls halved", do: func(t *trial) { t.forge(t.key, halve(false, true)) }, by: []string{"clock"}},
		{name: "a wall doubled", do: func(t *trial) {
			t.forgeStep(t.key, func(s *record.Step) {
				s.Time = record.Split{Wall: 2 * s.Time.Wall, Other: 2 * s.Time.Wall}
				s.MFU = s.FLOPs / (5e10 * (float64(s.Time.Wall) / 1e9))
			})
		}, by: []string{"clock"}},
		{name: "utilization", do: func(t *trial) { t.forgeStep(t.key, func(s *record.Step) { s.MFU *= 1.5 }) }, by: []string{"utilization"}},
		{name: "operations", do: func(t *trial) {
			t.forgeStep(t.key, func(s *record.Step) { s.FLOPs *= 1.5; s.MFU *= 1.5 })
		}, by: []string{"flops"}},
		{name: "learning rate", do: func(t *trial) { t.forgeStep(t.key, func(s *record.Step) { s.LR *= 1 + 0x1p-52 }) }, by: []string{"learning rate"}},
		{name: "tokens", do: func(t *trial) { t.forgeStep(t.key, func(s *record.Step) { s.Tokens++ }) }, by: []string{"counts", "load", "steps taken twice"}},
		{name: "examples", do: func(t *trial) { t.forgeStep(t.key, func(s *record.Step) { s.Examples++ }) }, by: []string{"totals", "steps taken twice"}},
		{name: "load", do: func(t *trial) { t.forgeStep(t.key, func(s *record.Step) { l := *s.Load; l.Max = 9; s.Load = &l }) }, by: []string{"load"}},
		{name: "loss not finite", do: func(t *trial) { t.forgeStep(t.key, func(s *record.Step) { s.Losses["lm"] = -1 }) }, by: []string{"losses"}},
		{name: "optimizer digest", do: func(t *trial) {
			t.forge(t.key, func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
				for _, e := range es {
					if k, ok := e.Body.(*record.Checkpoint); ok {
						k.Optimizer = record.SHA256([]byte("another"))
						return es
					}
				}
				return es
			})
		}, by: []string{"states"}},
		{name: "totals", do: func(t *trial) {
			t.forge(t.key, func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
				es[len(es)-1].Body.(*record.End).Tokens++
				return es
			})
		}, by: []string{"totals"}},
		{name: "step dropped, own key", do: func(t *trial) {
			t.forge(t.key, func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
				var is []int
				for i, e := range es {
					if e.Kind == "step" {
						is = append(is, i)
					}
				}
				i := is[t.draw(len(is))]
				return slices.Delete(es, i, i+1)
			})
		}, by: []string{"sequence"}},
		{name: "recovery hidden, own key", do: func(t *trial) {
			t.forge(t.key, func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
				return slices.DeleteFunc(es, func(e *record.Entry) bool { return e.Kind == "recovery" })
			})
		}, by: []string{"sequence"}},
		{name: "evaluation dropped, own key", do: func(t *trial) {
			t.forge(t.key, func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
				var is []int
				for i, e := range es {
					if e.Kind == "evaluation" {
						is = append(is, i)
					}
				}
				i := is[t.draw(len(is))]
				return slices.Delete(es, i, i+1)
			})
		}, by: []string{"evaluations"}},
		{name: "order of a stage, own key", do: func(t *trial) {
			t.forge(t.key, func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
				stage := t.draw(2)
				for _, e := range es {
					if s, ok := e.Body.(*record.Stage); ok && s.Stage == stage {
						s.Order = record.SHA256([]byte("another"))
					}
				}
				return es
			})
		}, by: []string{"recipe"}},
		{name: "time of a rank, own key", do: func(t *trial) {
			t.forge(t.key, func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
				var ts []*record.Times
				for _, e := range es {
					if b, ok := e.Body.(*record.Times); ok {
						ts = append(ts, b)
					}
				}
				s := &ts[t.draw(len(ts))].Ranks[0].Split
				s.Wall, s.Other = s.Wall/2, s.Wall/2
				return es
			})
		}, by: []string{"clock"}},
		{name: "batch size in the recipe", do: func(t *trial) {
			t.forge(t.key, func(m *record.Manifest, es []*record.Entry) []*record.Entry {
				m.Recipe = strings.Replace(m.Recipe, "rows: 2", "rows: 3", 1)
				return es
			})
			t.text("recipe.yaml", func(b []byte) []byte { return bytes.Replace(b, []byte("rows: 2"), []byte("rows: 3"), 1) })
		}, by: []string{"recipe"}},
		{name: "warmup in the recipe", do: func(t *trial) {
			change := func(s string) string { return strings.Replace(s, "warmup: 3", "warmup: 2", 1) }
			t.forge(t.key, func(m *record.Manifest, es []*record.Entry) []*record.Entry {
				m.Recipe = change(m.Recipe)
				for _, e := range es {
					if s, ok := e.Body.(*record.Stage); ok && s.LR.Warmup == 3 {
						s.LR.Warmup = 2
					}
				}
				return es
			})
			t.text("recipe.yaml", func(b []byte) []byte { return []byte(change(string(b))) })
		}, by: []string{"learning rate"}},

		{name: "other weights, own key", do: func(t *trial) {
			t.text("model/model.safetensors", func(b []byte) []byte { b[len(b)-1-t.draw(3000)] ^= 1 << t.draw(8); return b })
			t.forgeExport("model.safetensors")
		}, by: []string{"model"}},
		{name: "other configuration, own key", do: func(t *trial) {
			t.text("model/config.json", func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"routed_scaling_factor": 1.5`), []byte(`"routed_scaling_factor": 1.6`), 1)
			})
			t.forgeExport("config.json")
		}, by: []string{"model"}},
		{name: "other tokenizer, own key", do: func(t *trial) {
			t.text("model/tokenizer.json", func([]byte) []byte { return []byte("{ }\n") })
			t.forgeExport("tokenizer.json")
		}, by: []string{"model"}},

		// By the run's own key, nothing kept, nothing contradicts: replay.
		{name: "loss, own key", replay: true, do: func(t *trial) {
			t.forgeStep(t.key, func(s *record.Step) { s.Losses["lm"] -= 0.25 })
		}, by: []string{"replay"}},
		{name: "gradient norm, own key", replay: true, do: func(t *trial) {
			t.forgeStep(t.key, func(s *record.Step) { s.GradNorm *= 1 + 0x1p-52 })
		}, by: []string{"replay"}},
		{name: "batch, own key", replay: true, do: func(t *trial) {
			t.forgeStep(t.key, func(s *record.Step) { s.Batch = record.SHA256([]byte("another")) })
		}, by: []string{"replay"}},
		{name: "evaluation, own key", replay: true, do: func(t *trial) {
			t.forge(t.key, func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
				var vs []*record.Evaluation
				for _, e := range es {
					if v, ok := e.Body.(*record.Evaluation); ok {
						vs = append(vs, v)
					}
				}
				vs[t.draw(len(vs))].HeldOut.Loss -= 0.1
				return es
			})
		}, by: []string{"replay"}},
	}
}

// trialsOfEach times the number of frauds is the number of trials.
const trialsOfEach = 20

// Every fraud is found, by the check that docs/verify.md says.
func TestTampering(t *testing.T) {
	o := verifytest.Default()
	o.Stages[0].Steps, o.Stages[1].Steps = 20, 16
	run := makeRun(t, o)
	head := keptHead(t, run)
	var mu sync.Mutex
	count := 0
	for n, f := range frauds() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for i := range trialsOfEach {
				attempt(t, run, head, f, uint64(n), uint64(i))
				mu.Lock()
				count++
				mu.Unlock()
			}
		})
	}
	t.Cleanup(func() {
		if count < 1000 && !t.Failed() {
			t.Errorf("%d trials", count)
		}
		t.Logf("%d trials of %d frauds", count, len(frauds()))
	})
}

// keptHead is the head of about half of a run.
func keptHead(t *testing.T, run *verifytest.Run) *runlog.Head {
	b, err := os.ReadFile(filepath.Join(run.Dir, "record/heads"))
	if err != nil {
		t.Fatal(err)
	}
	hs := heads(b)
	h, err := runlog.ParseHead(hs[len(hs)/2], run.Key.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func attempt(t *testing.T, run *verifytest.Run, head *runlog.Head, f fraud, n, i uint64) {
	t.Helper()
	tr := &trial{T: t, dir: filepath.Join(t.TempDir(), "run"), key: run.Key}
	defer os.RemoveAll(tr.dir)
	if err := link(tr.dir, run.Dir); err != nil {
		t.Fatal(err)
	}
	r, drawn := detrand.Key(6, "tamper", n, i), uint64(0)
	tr.draw = func(n int) int { drawn++; return int(r.Uint64nAt(drawn, uint64(n))) }
	f.do(tr)
	trust := runlog.Trust{}
	switch f.knows {
	case theKey:
		trust.Verifier = run.Key.Verifier()
	case aHead:
		trust.Heads = []*runlog.Head{head}
	}
	l, cs := all(tr.dir, trust)
	if f.replay {
		for _, c := range cs {
			switch {
			case c.Result == verify.Pass:
			case c.Name == "steps taken twice": // it is the step that a crash took back
				return
			default:
				t.Fatalf("trial %d: %s: %s", i, c.Name, c.Evidence)
			}
		}
		out, err := verify.Replay(context.Background(), l, &verifytest.Replayer{Run: run, Log: l}, verify.Plan{All: true})
		if err != nil {
			t.Fatal(err)
		}
		cs = append(cs, out.Checks...)
	}
	var found []string
	for _, c := range cs {
		if c.Result == verify.Fail || c.Result == verify.Incomplete && !strings.Contains(c.Evidence, "read") {
			found = append(found, fmt.Sprintf("%s: %s", c.Name, c.Evidence))
			if slices.Contains(f.by, c.Name) {
				return
			}
		}
	}
	t.Errorf("trial %d: want it found by %v: %q", i, f.by, found)
}

// signed makes heads of the manifest and of all lines, by the key of the trials.
func signed(manifest, log []byte) []byte {
	text, _, err := note.GenerateKey(bytes.NewReader(make([]byte, 32)), "temper")
	if err != nil {
		panic(err)
	}
	signer, err := note.NewSigner(text)
	if err != nil {
		panic(err)
	}
	tree := &runlog.Tree{}
	var out []byte
	add := func(previous int64) {
		h, err := tree.Hash(tree.Size())
		if err != nil {
			panic(err)
		}
		b, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n%d\n", record.Format, tree.Size(), h, previous)}, signer)
		if err != nil {
			panic(err)
		}
		out = append(out, b...)
	}
	if err := tree.Add(bytes.TrimSuffix(manifest, []byte("\n"))); err != nil {
		panic(err)
	}
	add(0)
	for line := range bytes.Lines(log) {
		if bytes.HasSuffix(line, []byte("\n")) {
			if err := tree.Add(line[:len(line)-1]); err != nil {
				panic(err)
			}
		}
	}
	if tree.Size() > 1 {
		add(1)
	}
	return out
}
