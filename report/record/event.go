package record

import (
	"errors"
	"fmt"
)

// Begin opens a run.
type Begin struct {
	// Model counts: all parameters, and those that a token meets.
	Total  int64 `json:"total"`
	Active int64 `json:"active"`
	// Parameters is the digest of the state that training begins with.
	Parameters Digest `json:"parameters,omitempty"`
}

// Checkpoint is training state on the disk, after Step steps of a stage.
type Checkpoint struct {
	Stage int   `json:"stage"`
	Step  int64 `json:"step"`
	// Path is relative to the run directory, with slashes.
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	// Content is the digest of what was written.
	Content    Digest `json:"content,omitempty"`
	Parameters Digest `json:"parameters,omitempty"`
	Optimizer  Digest `json:"optimizer,omitempty"`
	// Took is nanoseconds.
	Took int64 `json:"took"`
}

// Fault is something that went wrong and was seen.
type Fault struct {
	// Fault names what: "crash", "link", "memory", "non-finite", "slow", ...
	Fault string `json:"fault"`
	Rank  int    `json:"rank"`
	Stage int    `json:"stage"`
	Step  int64  `json:"step"`
	// Evidence is what was observed.
	Evidence string `json:"evidence"`
}

// Recovery continues a run after a fault or a crash. Step entries of the same
// stage from Step on, and of later stages, that stand before it in the log are
// taken again; entries after it replace them.
type Recovery struct {
	Stage int   `json:"stage"`
	Step  int64 `json:"step"`
	// Again is how many step entries before this one are taken again.
	Again int64 `json:"again"`
	// Checkpoint is the digest of the content that was loaded, empty at the
	// beginning of a run.
	Checkpoint Digest `json:"checkpoint,omitempty"`
	Parameters Digest `json:"parameters,omitempty"`
	Cause      string `json:"cause"`
	// Host and Devices are what continues, where that is another process than
	// before. Utilizations after it are of these devices.
	Host    *Host    `json:"host,omitempty"`
	Devices []Device `json:"devices,omitempty"`
}

// Ranks says that from here on other ranks take part, or that the same ones were
// measured again.
type Ranks struct {
	Ranks  int    `json:"ranks"`
	Mesh   Mesh   `json:"mesh"`
	Reason string `json:"reason"`
	// Joined and Left are rank numbers.
	Joined []int `json:"joined"`
	Left   []int `json:"left"`
	// Devices are what all ranks compute on, where that was measured: utilizations
	// after this entry are of them. Their hosts are those of before.
	Devices []Device `json:"devices,omitempty"`
}

// Evaluation is a measurement after Step steps of a stage.
type Evaluation struct {
	Stage int   `json:"stage"`
	Step  int64 `json:"step"`
	// HeldOut is the loss on held-out rows, nil without any.
	HeldOut *HeldOut         `json:"held_out,omitempty"`
	Suites  map[string]Score `json:"suites,omitempty"`
	// Metrics are further numbers of suites, as suite/metric.
	Metrics map[string]Metric `json:"metrics,omitempty"`
	// Took is nanoseconds.
	Took int64 `json:"took"`
}

// HeldOut is a mean loss per supervised token, in nats; of a stage that compares
// pairs of answers, its loss per pair.
type HeldOut struct {
	Loss   float64 `json:"loss"`
	Tokens int64   `json:"tokens"`
}

// Score counts questions whose answers are right, or what the suite asks for.
type Score struct {
	// Kind says what is counted, as kind/measure: empty for exact answers.
	Kind  string `json:"kind,omitempty"`
	Right int64  `json:"right"`
	Total int64  `json:"total"`
}

// Metric is a mean over Count things.
type Metric struct {
	Value float64 `json:"value"`
	Count int64   `json:"count"`
	// Interval holds the true value with 95 % confidence: none, or its ends.
	Interval []float64 `json:"interval,omitempty"`
}

// Rollout is a round of a stage that learns from its own answers: questions were
// put to the policy, and what it said was judged. It stands before the round's
// first step, Step.
type Rollout struct {
	Stage int   `json:"stage"`
	Step  int64 `json:"step"`
	// Round counts the rounds of the stage, from 0. First is how many questions of
	// the stage's endless order the rounds before used, Prompts how many this one did.
	Round   int64 `json:"round,omitempty"`
	First   int64 `json:"first,omitempty"`
	Prompts int64 `json:"prompts"`
	// Batch is the digest of questions, generations and verdicts, in order, and of
	// whatever else the round's steps need that later weights could not give again.
	Batch       Digest `json:"batch"`
	Generations int64  `json:"generations"`
	// Tokens are those of all generations, Longest those of the longest. Truncated
	// generations did not end by themselves, Failed ones could not be judged.
	Tokens    int64 `json:"tokens"`
	Longest   int64 `json:"longest,omitempty"`
	Truncated int64 `json:"truncated,omitempty"`
	Failed    int64 `json:"failed,omitempty"`
	// Trained are the tokens that the round's steps learn from, all of them together.
	Trained int64 `json:"trained,omitempty"`
	// Policy is the digest of the parameters that generated.
	Policy Digest `json:"policy,omitempty"`
	// Reward is the mean over the generations that were judged, Rules the mean of
	// each rule over those, before its weight.
	Reward float64            `json:"reward"`
	Rules  map[string]float64 `json:"rules,omitempty"`
	// Took is nanoseconds that the run waited for the round: no step's time holds them.
	Took int64 `json:"took"`
}

// RolloutPath is where a round of a stage is kept in a run directory.
func RolloutPath(stage int, name string, round int64) string {
	return fmt.Sprintf("%s/%06d.rollout", RolloutDir(stage, name), round)
}

// RolloutDir is where all rounds of a stage are.
func RolloutDir(stage int, name string) string {
	return fmt.Sprintf("rollouts/%02d-%s", stage, name)
}

// Pause says that a run stopped in good order, its state saved.
type Pause struct {
	Stage  int    `json:"stage"`
	Step   int64  `json:"step"`
	Reason string `json:"reason"`
}

// Resume continues after a Pause, with no step taken twice.
type Resume struct {
	Stage int   `json:"stage"`
	Step  int64 `json:"step"`
	// Host is what continues, as the manifest has it.
	Host       Host   `json:"host"`
	Parameters Digest `json:"parameters,omitempty"`
	// Devices are measured again; utilizations after this entry are of them.
	Devices []Device `json:"devices,omitempty"`
}

// Note is something a person should know.
type Note struct {
	Text string `json:"text"`
}

// End closes a run.
type End struct {
	// Status is "complete" or "failed".
	Status string `json:"status"`
	// Steps, Examples, Tokens and Supervised are totals of the steps that stand.
	Steps      int64 `json:"steps"`
	Examples   int64 `json:"examples"`
	Tokens     int64 `json:"tokens"`
	Supervised int64 `json:"supervised"`
	// Weights is the digest of the final parameters.
	Weights Digest `json:"weights,omitempty"`
	// Export is the digest of every file of the final model, by its path.
	Export map[string]Digest `json:"export,omitempty"`
	Reason string            `json:"reason,omitempty"`
}

// Kind is "begin".
func (*Begin) Kind() string { return "begin" }

// Kind is "checkpoint".
func (*Checkpoint) Kind() string { return "checkpoint" }

// Kind is "fault".
func (*Fault) Kind() string { return "fault" }

// Kind is "recovery".
func (*Recovery) Kind() string { return "recovery" }

// Kind is "ranks".
func (*Ranks) Kind() string { return "ranks" }

// Kind is "evaluation".
func (*Evaluation) Kind() string { return "evaluation" }

// Kind is "rollout".
func (*Rollout) Kind() string { return "rollout" }

// Kind is "pause".
func (*Pause) Kind() string { return "pause" }

// Kind is "resume".
func (*Resume) Kind() string { return "resume" }

// Kind is "note".
func (*Note) Kind() string { return "note" }

// Kind is "end".
func (*End) Kind() string { return "end" }

// place refuses a position that cannot be.
func place(stage int, step int64) error {
	if stage < 0 || step < 0 {
		return fmt.Errorf("stage %d, step %d: want both at least 0", stage, step)
	}
	return nil
}

// atLeast0 refuses negative values that follow their names.
func atLeast0(pairs ...any) error {
	for i := 0; i < len(pairs); i += 2 {
		if n := pairs[i+1].(int64); n < 0 {
			return fmt.Errorf("%s: %d, want at least 0", pairs[i], n)
		}
	}
	return nil
}

// Check refuses what contradicts itself.
func (b *Begin) Check() error {
	return errors.Join(atLeast0("total", b.Total, "active", b.Active), b.Parameters.Check())
}

// Check refuses what contradicts itself.
func (c *Checkpoint) Check() error {
	return errors.Join(place(c.Stage, c.Step), atLeast0("bytes", c.Bytes, "took", c.Took),
		checkDigests("content", c.Content, "parameters", c.Parameters, "optimizer", c.Optimizer))
}

// Check refuses what contradicts itself.
func (f *Fault) Check() error {
	if f.Fault == "" {
		return errors.New("fault: no name")
	}
	return errors.Join(place(f.Stage, f.Step), atLeast0("rank", int64(f.Rank)))
}

// Check refuses what contradicts itself.
func (r *Recovery) Check() error {
	return errors.Join(place(r.Stage, r.Step), atLeast0("again", r.Again),
		checkDigests("checkpoint", r.Checkpoint, "parameters", r.Parameters), checkDevices(r.Devices, 1))
}

// Check refuses what contradicts itself.
func (r *Ranks) Check() error {
	if r.Ranks < 1 {
		return fmt.Errorf("ranks: %d, want at least 1", r.Ranks)
	}
	return errors.Join(r.Mesh.Check(r.Ranks), checkDevices(r.Devices, r.Ranks))
}

// Check refuses what contradicts itself.
func (e *Evaluation) Check() error {
	for name, s := range e.Suites {
		if s.Right < 0 || s.Right > s.Total {
			return fmt.Errorf("suites: %.40q: %d right of %d", name, s.Right, s.Total)
		}
	}
	for name, m := range e.Metrics {
		if n := len(m.Interval); m.Count < 0 || n != 0 && n != 2 {
			return fmt.Errorf("metrics: %.40q: a mean over %d, with an interval of %d ends", name, m.Count, n)
		}
	}
	if e.HeldOut != nil && e.HeldOut.Tokens < 0 {
		return fmt.Errorf("held_out: %d tokens", e.HeldOut.Tokens)
	}
	return errors.Join(place(e.Stage, e.Step), atLeast0("took", e.Took))
}

// Check refuses what contradicts itself.
func (r *Rollout) Check() error {
	switch {
	case r.Longest > r.Tokens:
		return fmt.Errorf("longest: %d of %d tokens", r.Longest, r.Tokens)
	case r.Truncated > r.Generations:
		return fmt.Errorf("truncated: %d of %d generations", r.Truncated, r.Generations)
	case r.Failed > r.Generations:
		return fmt.Errorf("failed: %d of %d generations", r.Failed, r.Generations)
	}
	return errors.Join(place(r.Stage, r.Step), checkDigests("batch", r.Batch, "policy", r.Policy),
		atLeast0("round", r.Round, "first", r.First, "prompts", r.Prompts, "generations", r.Generations, "tokens", r.Tokens,
			"longest", r.Longest, "truncated", r.Truncated, "failed", r.Failed, "trained", r.Trained, "took", r.Took))
}

// Check refuses what contradicts itself.
func (p *Pause) Check() error { return place(p.Stage, p.Step) }

// Check refuses what contradicts itself.
func (r *Resume) Check() error {
	return errors.Join(place(r.Stage, r.Step), r.Parameters.Check(), checkDevices(r.Devices, 1))
}

// Check accepts every text.
func (*Note) Check() error { return nil }

// Check refuses what contradicts itself.
func (e *End) Check() error {
	if e.Status != "complete" && e.Status != "failed" {
		return fmt.Errorf("status: %.40q, want complete or failed", e.Status)
	}
	for name, d := range e.Export {
		if err := d.Check(); err != nil {
			return fmt.Errorf("export: %.80q: %w", name, err)
		}
	}
	return errors.Join(e.Weights.Check(), atLeast0("steps", e.Steps, "examples", e.Examples, "tokens", e.Tokens, "supervised", e.Supervised))
}
