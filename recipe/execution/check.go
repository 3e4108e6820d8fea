package execution

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/opd"
	"github.com/temper-ml/temper/posttrain/preference"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// Checked is what can be said of a recipe before any work.
type Checked struct {
	Parameters int64          `json:"parameters"`
	Active     int64          `json:"active_parameters"`
	Stages     []CheckedStage `json:"stages"`
	// MemoryBytes is the predicted peak; AvailableBytes what the machine has.
	MemoryBytes    int64 `json:"memory_bytes"`
	AvailableBytes int64 `json:"memory_available_bytes,omitempty"`
	// DiskBytes is what checkpoints and export take at most; FreeBytes what the disk has.
	DiskBytes int64 `json:"disk_bytes"`
	FreeBytes int64 `json:"disk_free_bytes,omitempty"`
	// Model is what the recipe trains.
	Model *arch.Config `json:"-"`
}

// CheckedStage is a stage of Checked.
type CheckedStage struct {
	Name    string       `json:"name"`
	Method  string       `json:"method"`
	Steps   int64        `json:"steps"`
	Data    data.Report  `json:"data"`
	Packing data.Packing `json:"packing"`
	HeldOut int          `json:"held_out_rows"`
	Memory  train.Memory `json:"memory"`
	FLOPs   float64      `json:"flops"` // model operations of the whole stage, from its first steps
	// ReferenceRows are run forward before the first step, for the log-probabilities
	// that a dpo stage compares with, in ReferenceFLOPs operations.
	ReferenceRows  int64   `json:"reference_rows,omitempty"`
	ReferenceFLOPs float64 `json:"reference_flops,omitempty"`
	ReferenceBytes int64   `json:"reference_bytes,omitempty"` // of its file, at most
	// Teachers are what the stage's first steps take of those, in the proportion of
	// all steps: their operations are no part of FLOPs.
	Teachers []opd.Cost `json:"teachers,omitempty"`
	// Answers is what a stage needs that learns from the model's own, nil for others.
	Answers *CheckedAnswers `json:"answers,omitempty"`
	// Notes are what a person should know of the stage.
	Notes []string `json:"notes,omitempty"`

	taught     *deepseek.Distillation // the shape of a micro-batch's lessons
	remembered int64                  // bytes of what teachers said, at most
}

// checkSteps is how many steps of each stage are built to look at.
const checkSteps = 8

// Check refuses everything about a recipe that can be refused before any work:
// files, tokenizer, model, data and masks, memory, disk. dir is where the run
// would be; nothing is written there.
func Check(ctx context.Context, r *recipe.Recipe, dir string) (*Checked, error) {
	tok, err := Tokenizer(ctx, r, dir)
	if err != nil {
		return nil, err
	}
	cfg, err := Architecture(r, tok)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkWeights(r), checkKey(r)); err != nil {
		return nil, err
	}
	c := &Checked{Model: cfg}
	c.Parameters, _, c.Active = cfg.Count()
	references := int64(0)
	for i := range r.Stages {
		s, err := checkStage(ctx, r, i, tok, cfg)
		if err != nil {
			return nil, fmt.Errorf("stage %s: %w", r.Stages[i].Name, err)
		}
		c.Stages = append(c.Stages, *s)
		need := s.Memory.Total() + s.teacherMemory()
		if a := s.Answers; a != nil {
			need += a.Memory
			references += a.Bytes
		}
		c.MemoryBytes = max(c.MemoryBytes, need)
		references += s.ReferenceBytes + s.teacherBytes()
	}
	c.DiskBytes = checkpointBytes(r, c)
	width := int64(2)
	if r.Export.DType == "f32" {
		width = 4
	}
	c.DiskBytes += width*c.Parameters + references
	c.AvailableBytes, c.FreeBytes = Available(), free(dir)
	return c, c.fits()
}

// checkpointBytes is what checkpoints take at most: those that a stage keeps,
// one being written, the last one of the stage before, and what stays for good.
func checkpointBytes(r *recipe.Recipe, c *Checked) int64 {
	most, before, good := int64(0), int64(0), int64(0)
	for _, s := range c.Stages {
		state := s.Memory.Parameters + s.Memory.Optimizer
		multiples := int64(0)
		if every := r.Checkpoint.KeepEvery; every > 0 {
			multiples = s.Steps / every * state
		}
		most = max(most, good+before+multiples+int64(r.Checkpoint.Keep+1)*state)
		if keepsEnds(r, c.Parameters) {
			good += multiples + state
			before = int64(r.Checkpoint.Keep-1) * state
		} else {
			before = int64(r.Checkpoint.Keep) * state
		}
	}
	return most
}

// checkWeights opens a model that is to be loaded: its tensors must be those of
// its config.json.
func checkWeights(r *recipe.Recipe) error {
	if r.Model.Load == "" {
		return nil
	}
	path, err := r.Path(r.Model.Load)
	if err != nil {
		return err
	}
	src, err := hf.Open(path)
	if err != nil {
		return err
	}
	return src.Close()
}

// checkKey refuses a key file that cannot be used; one that does not exist will
// be made.
func checkKey(r *recipe.Recipe) error {
	if r.Record.Key == "" {
		return nil
	}
	path, err := r.Path(r.Record.Key)
	if err == nil {
		_, err = runlog.LoadKey(path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("record.key: %w", err)
	}
	return nil
}

func checkStage(ctx context.Context, r *recipe.Recipe, i int, tok *tokenizer.Tokenizer, cfg *arch.Config) (*CheckedStage, error) {
	s := &r.Stages[i]
	for _, name := range s.SuiteNames() {
		if _, err := r.LoadSuite(ctx, i, name, tok); err != nil {
			return nil, err
		}
	}
	if posttrain.Asks(s.Method) {
		return checkAsking(ctx, r, i, tok, cfg)
	}
	d, err := r.StageData(i)
	if err != nil {
		return nil, err
	}
	m, err := d.Load(ctx, s.Takes(), tok, "", r.Seed)
	if err != nil {
		return nil, err
	}
	c := s.Config
	if s.Epochs > 0 {
		c.Steps = m.Steps(s.Epochs)
	}
	if err := c.Check(d.Rows); err != nil {
		return nil, err
	}
	out := &CheckedStage{Name: s.Name, Method: s.Method, Steps: c.Steps, Data: m.Report, Packing: m.Packing(), HeldOut: len(m.HeldOut)}
	switch s.Method {
	case "distill":
		t, err := out.meet(ctx, r, s, tok, cfg)
		if err == nil {
			err = t.give(ctx, d, m, s.Eval.Rows)
		}
		if err == nil {
			looked := min(checkSteps, c.Steps)
			all := float64(c.Steps) / float64(looked)
			err = out.attend(t, looked, min(t.config.Ahead, c.Steps), all, all, t.lessons)
		}
		if err != nil {
			return nil, err
		}
		return out, out.look(c, cfg, m, nil)
	case "dpo":
	default:
		return out, out.look(c, cfg, m, nil)
	}
	known := *s
	known.Steps = c.Steps
	pairs := pairsOf(&known, m)
	out.Notes = judgements(&known, m)
	if s.DPO.NeedsReference() {
		out.refer(cfg, pairs)
	}
	return out, out.look(c, cfg, m, pairs)
}

// refer counts what the reference takes.
func (s *CheckedStage) refer(cfg *arch.Config, p *preference.Pairs) {
	s.ReferenceRows, s.ReferenceBytes = p.Rows(), p.MaxBytes()
	for i := range s.ReferenceRows {
		s.ReferenceFLOPs += cfg.FLOPs(p.ReferenceWork(i)).Forward()
	}
}

// look builds the stage's first steps: what they need and what they compute.
func (s *CheckedStage) look(c train.Config, cfg *arch.Config, m *posttrain.Material, pairs *preference.Pairs) error {
	var steps [][]train.Row
	for step := range min(checkSteps, c.Steps) {
		rows, err := m.Rows(step)
		if err != nil {
			return err
		}
		if n := train.Count(rows); n.Supervised == 0 {
			return fmt.Errorf("step %d has no supervised token", step)
		}
		steps = append(steps, rows)
		s.FLOPs += train.FLOPs(c, cfg, rows)
		if pairs != nil {
			s.FLOPs += cfg.FLOPs(pairs.MismatchWork(step)).Forward()
		}
	}
	s.FLOPs *= float64(c.Steps) / float64(len(steps))
	for _, row := range m.HeldOut {
		steps = append(steps, []train.Row{row}) // evaluation takes a row at a time
	}
	var err error
	s.Memory, err = train.PlanMemory(c, cfg, steps[:min(len(steps), checkSteps)], m.Report.Tokens, s.taught)
	return err
}

// fits refuses what the machine cannot hold.
func (c *Checked) fits() error {
	switch {
	case c.AvailableBytes > 0 && c.MemoryBytes > c.AvailableBytes:
		return fmt.Errorf("memory: the run needs %s, this machine has %s: lower micro_rows or sequence, set recompute: full, or take a smaller model",
			unit.Bytes(c.MemoryBytes), unit.Bytes(c.AvailableBytes))
	case c.FreeBytes > 0 && c.DiskBytes > c.FreeBytes:
		return fmt.Errorf("disk: checkpoints, what stages keep and export need %s, %s are free: lower checkpoint.keep, raise checkpoint.keep_every, or choose another --out",
			unit.Bytes(c.DiskBytes), unit.Bytes(c.FreeBytes))
	}
	return nil
}

// Available returns the memory that a new process can have, 0 if unknown.
func Available() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "MemAvailable:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}

// free returns the bytes free where dir is or would be, 0 if unknown.
func free(dir string) int64 {
	for {
		var st syscall.Statfs_t
		err := syscall.Statfs(dir, &st)
		if err == nil {
			return int64(st.Bavail) * int64(st.Bsize)
		}
		if !errors.Is(err, os.ErrNotExist) || filepath.Dir(dir) == dir {
			return 0
		}
		dir = filepath.Dir(dir)
	}
}
