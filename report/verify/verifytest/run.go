package verifytest

import (
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/runlog"
)

// Run is a run directory.
type Run struct {
	Dir     string
	Key     *runlog.Key
	Options Options
	world   *world
}

// author writes a run.
type author struct {
	*Run
	log      *runlog.Writer
	now      time.Time
	manifest *record.Manifest
	saves    int
	counts   [][]int64
	from     int64
	wall     int64
	total    record.End
	draws    uint64
}

// peak is the measured rate of the synthetic device.
const peak = 5e10

// Write makes a run in dir, which it creates.
func Write(dir string, key *runlog.Key, o Options) (*Run, error) {
	if o.Step == 0 {
		o.Step = time.Second
	}
	c, err := arch.Builtin("tiny-v4")
	if o.Architecture != "" {
		c, err = arch.ParseConfig([]byte(o.Architecture))
	}
	if err != nil {
		return nil, err
	}
	a := &author{Run: &Run{dir, key, o, newWorld(o, c)}, now: time.UnixMilli(1_800_000_000_000)}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	a.describe(c)
	if a.log, err = runlog.Create(filepath.Join(dir, "record"), a.manifest, key, runlog.Options{FS: durabletest.NoSync(durable.OS), Now: func() time.Time { return a.now }}); err != nil {
		return nil, err
	}
	if err := a.write(); err != nil {
		return nil, err
	}
	if o.Unsigned {
		return a.Run, nil // as after the death of the process
	}
	return a.Run, a.log.Close()
}

// describe makes the manifest.
func (a *author) describe(c *arch.Config) {
	a.manifest = &record.Manifest{
		Run: "synthetic", Recipe: a.Options.recipe(), Seed: a.Options.Seed, Started: a.now.UnixMilli() - 1500,
		Architecture: string(c.MarshalHF()), Precision: record.Precision{Parameters: "fp32", Linear: "fp32", Attention: "fp32"},
		Model: map[string]record.Digest{}, Data: []record.File{},
		Program: record.Program{Version: "test", Modules: map[string]string{}, Build: map[string]string{}},
		Hosts:   []record.Host{{Name: "host", CPU: "cpu", Features: []string{}, Cores: 2, Memory: 1 << 34}},
		Ranks:   1, Mesh: record.One(), Links: []record.Link{},
		Devices:      []record.Device{{Name: "cpu", Ranks: []int{0}, Peak: map[string]float64{"f32": peak}, Bandwidth: 1e10}},
		DigestPeriod: a.Options.Period, Clock: "system",
	}
	orders := make([]digest.Digest, len(a.Options.Stages))
	for i := range orders {
		must(orders[i].UnmarshalText([]byte(a.world.name("order", uint64(i)))))
	}
	a.manifest.Order = record.Digest(digest.List("orders", orders).String())
	if a.Options.Files {
		a.manifest.Tokenizer = a.file("tokenizer.json", "{}\n")
		a.file("recipe.yaml", a.manifest.Recipe)
	}
}

// file writes a file of the run directory and returns its digest.
func (a *author) file(name, text string) record.Digest {
	path := filepath.Join(a.Dir, name)
	must(os.MkdirAll(filepath.Dir(path), 0o755))
	must(os.WriteFile(path, []byte(text), 0o644))
	return record.SHA256([]byte(text))
}

// add appends entries, each after some time of the run has passed.
func (a *author) add(after time.Duration, bodies ...record.Body) error {
	a.now = a.now.Add(after)
	for _, b := range bodies {
		if _, err := a.log.Append(b); err != nil {
			return err
		}
	}
	return nil
}

func (a *author) write() error {
	total, _, active := a.world.config.Count()
	begin := &record.Begin{Total: total, Active: active}
	if a.Options.Files {
		begin.Parameters = whole(a.world.parameters(0))
	}
	if err := a.add(time.Second, begin); err != nil {
		return err
	}
	for i := range a.Options.Stages {
		if err := a.stage(i); err != nil {
			return err
		}
	}
	if a.Options.Unfinished {
		return nil
	}
	a.total.Status = "complete"
	last := len(a.Options.Stages) - 1
	all, _ := a.world.updates(last, a.Options.Stages[last].Steps)
	if a.Options.Files {
		a.total.Weights = whole(a.world.parameters(all))
		a.total.Export = map[string]record.Digest{
			"config.json":       a.file("model/config.json", a.manifest.Architecture),
			"tokenizer.json":    a.file("model/tokenizer.json", "{}\n"),
			"model.safetensors": a.file("model/model.safetensors", exported(a.world.parameters(all))),
		}
	}
	return a.add(time.Second, &a.total)
}

// entry is the stage's entry at a step.
func (a *author) entry(i int, from int64) *record.Stage {
	s := a.Options.Stages[i]
	e := &record.Stage{
		Stage: i, Name: s.Name, Method: s.Method, From: from, Order: a.world.name("order", uint64(i)), Steps: s.Steps, Rows: epochSteps * s.Batch, HeldOut: 3,
		Batch: s.Batch, Micro: 1, Accumulation: s.Batch, Sequence: s.Sequence, Optimizer: "adamw", LR: s.LR, MTP: true, Indexer: true,
	}
	for _, b := range a.world.stages[i].batches {
		e.Tokens += b.tokens
		e.Supervised += b.supervised
	}
	return e
}

func (a *author) stage(i int) error {
	s := a.Options.Stages[i]
	a.counts, a.from, a.wall = nil, 0, 0
	if err := a.add(200*time.Millisecond, a.entry(i, 0), a.evaluation(i, 0)); err != nil {
		return err
	}
	crashes, pauses := a.Options.Recoveries, a.Options.Pauses
	for n := int64(0); n < s.Steps; n++ {
		if err := a.step(i, n); err != nil {
			return err
		}
		taken := n + 1
		if every := a.Options.EvaluateEvery; taken == s.Steps || every > 0 && taken%every == 0 {
			if err := a.add(100*time.Millisecond, a.evaluation(i, taken)); err != nil {
				return err
			}
		}
		every := a.Options.CheckpointEvery
		if taken == s.Steps || every > 0 && taken%every == 0 {
			if err := a.checkpoint(i, taken); err != nil {
				return err
			}
		} else if k := a.Options.SignEvery; k > 0 && taken%k == 0 {
			must(a.log.Sign())
		}
		switch {
		case crashes > 0 && every > 3 && taken > every && taken%every == 3 && taken < s.Steps:
			crashes--
			n = taken - 4
			if err := a.crash(i, n+1, 3); err != nil {
				return err
			}
		case pauses > 0 && every > 0 && taken%every == 0 && taken < s.Steps:
			pauses--
			if err := a.pause(i, taken); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *author) step(i int, n int64) error {
	b := a.world.step(i, n)
	r := detrand.Key(a.Options.Seed, "verifytest.time", a.draws)
	a.draws++
	wall := int64(a.Options.Step) * int64(900+r.Uint64nAt(0, 200)) / 1000
	wall = max(wall, int64(b.FLOPs/peak*1.5e9)+1000)
	b.Time = record.Split{Wall: wall, Data: wall / 100, Model: wall / 2, Optimizer: wall / 8}
	b.Time.Other = wall - b.Time.Data - b.Time.Model - b.Time.Optimizer
	b.MFU = b.FLOPs / (peak * time.Duration(wall).Seconds())
	b.Memory = 1 << 30
	if b.Skipped == "" {
		a.gather(a.world.at(i, n).table)
	}
	a.wall += wall
	a.total.Steps++
	a.total.Examples += b.Examples
	a.total.Tokens += b.Tokens
	a.total.Supervised += b.Supervised
	return a.add(time.Duration(wall)+300*time.Microsecond, b)
}

// gather adds to the counts of the next routing entry.
func (a *author) gather(table [][]int64) {
	if a.counts == nil {
		for _, counts := range table {
			a.counts = append(a.counts, make([]int64, len(counts)))
		}
	}
	for i, counts := range table {
		for j, n := range counts {
			a.counts[i][j] += n
		}
	}
}

func (a *author) evaluation(i int, step int64) *record.Evaluation {
	all, _ := a.world.updates(i, step)
	loss := 2 + math.Exp(-float64(all)/20)
	return &record.Evaluation{Stage: i, Step: step, HeldOut: &record.HeldOut{Loss: loss, Tokens: 77}, Took: 5e7}
}

// checkpoint records what was gathered and saves the state.
func (a *author) checkpoint(i int, taken int64) error {
	k := a.save(i, taken)
	must(a.log.Sign())
	bodies := []record.Body{&record.Times{Stage: i, From: a.from, To: taken, Ranks: []record.RankTime{{Split: record.Split{Wall: a.wall, Other: a.wall}}}}}
	if a.counts != nil {
		bodies = append(bodies, &record.Routing{Stage: i, From: a.from, To: taken, Counts: a.counts})
	}
	a.counts, a.from, a.wall = nil, taken, 0
	return a.add(150*time.Millisecond, append(bodies, k)...)
}

// crash takes again steps after the last checkpoint.
func (a *author) crash(i int, step, again int64) error {
	for n := step; n < step+again; n++ {
		b := a.world.step(i, n)
		a.total.Steps--
		a.total.Examples -= b.Examples
		a.total.Tokens -= b.Tokens
		a.total.Supervised -= b.Supervised
	}
	a.counts, a.from, a.wall = nil, step, 0
	a.saves-- // the last checkpoint is loaded
	k := a.save(i, step)
	return a.add(20*time.Second,
		&record.Fault{Fault: "crash", Stage: i, Step: step + again, Evidence: "the process died"},
		&record.Recovery{Stage: i, Step: step, Again: again, Checkpoint: k.Content, Parameters: k.Parameters, Cause: "crash"},
		a.entry(i, step),
	)
}

func (a *author) pause(i int, step int64) error {
	if err := a.add(time.Millisecond, &record.Pause{Stage: i, Step: step, Reason: "asked to stop"}); err != nil {
		return err
	}
	all, _ := a.world.updates(i, step)
	r := &record.Resume{Stage: i, Step: step, Host: a.manifest.Hosts[0]}
	if a.Options.Files {
		r.Parameters = whole(a.world.parameters(all))
	}
	return a.add(time.Hour, r, a.entry(i, step))
}
