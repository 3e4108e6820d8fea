package record

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Stage opens a stage, or continues it, at step From of Steps.
type Stage struct {
	Stage  int    `json:"stage"`
	Name   string `json:"name"`
	Method string `json:"method"`
	From   int64  `json:"from"`
	Steps  int64  `json:"steps"`
	// Rows are the rows of an epoch, Data their digest, Order that of the
	// ordered list of examples; HeldOut rows are measured on and not trained on.
	Rows    int64  `json:"rows"`
	HeldOut int64  `json:"held_out,omitempty"`
	Data    Digest `json:"data,omitempty"`
	Order   Digest `json:"order,omitempty"`
	// Tokens and Supervised are those of an epoch.
	Tokens     int64 `json:"tokens,omitempty"`
	Supervised int64 `json:"supervised,omitempty"`
	// Batch is the rows of a step, Micro those that go through the model at
	// once, Accumulation how many such there are in a step, and Sequence the
	// tokens that a row has at most.
	Batch        int64 `json:"batch,omitempty"`
	Micro        int64 `json:"micro,omitempty"`
	Accumulation int64 `json:"accumulation,omitempty"`
	Sequence     int64 `json:"sequence,omitempty"`
	// Optimizer is "adamw" or "muon", LR its learning rate.
	Optimizer string   `json:"optimizer,omitempty"`
	LR        Schedule `json:"lr"`
	// Reference is the SHA-256 of the file with the log-probabilities that the
	// stage's first weights give to answers, where a loss compares with them.
	Reference Digest `json:"reference,omitempty"`
	// Round is how many steps a Rollout is for, 0 of a stage without any. Batch,
	// Micro and Accumulation of such a stage are 0: the answers decide its rows.
	Round int64 `json:"round,omitempty"`
	// Anchor is the digest of the parameters that a divergence is from, where the
	// stage keeps its policy near them: those that it began with.
	Anchor Digest `json:"anchor,omitempty"`
	// Teachers are the digests of the models that the stage learns from, by name: of
	// their configurations and all their parameters.
	Teachers map[string]Digest `json:"teachers,omitempty"`
	// MTP and Indexer say that these losses take part, as their FLOPs then do.
	MTP     bool `json:"mtp,omitempty"`
	Indexer bool `json:"indexer,omitempty"`
}

// ReferencePath is where the file of Stage.Reference is in a run directory.
func ReferencePath(stage int, name string) string {
	return fmt.Sprintf("reference/%02d-%s.bin", stage, name)
}

// AnchorPath is where the weights of Stage.Anchor are kept in a run directory.
func AnchorPath(stage int, name string) string {
	return fmt.Sprintf("reference/%02d-%s", stage, name)
}

// Schedule decides the learning rate of every step of a stage of S steps: step s
// (from 0) takes Peak·(s+1)/Warmup below Warmup, and afterwards, with x going
// from 0 at the first step of the fall to 1 at step S-1,
//
//	constant   Peak
//	linear     Final + (Peak-Final)·(1-x), falling from step Warmup
//	cosine     Final + (Peak-Final)·cos²(πx/2), falling from step Warmup
//	wsd        Peak, then as cosine, falling from step S-Decay
//
// A fall of one step takes Final. The empty Schedule says that none was given.
type Schedule struct {
	Kind   string  `json:"kind,omitempty"`
	Peak   float64 `json:"peak,omitempty"`
	Final  float64 `json:"final,omitempty"`
	Warmup int64   `json:"warmup,omitempty"`
	Decay  int64   `json:"decay,omitempty"`
}

// schedules are the kinds that a Schedule may have.
var schedules = []string{"", "constant", "cosine", "linear", "wsd"}

// Routing says how tokens were routed since the last such entry of the stage,
// or its beginning: in the steps From <= s < To. It stands before checkpoints
// and at the end of a stage; the table of a single step is in a replay.
type Routing struct {
	Stage int   `json:"stage"`
	From  int64 `json:"from"`
	To    int64 `json:"to"`
	// Counts are tokens by block (of those that have experts) and expert, of all
	// steps but skipped ones.
	Counts [][]int64 `json:"counts"`
}

// Times says where the time of each rank went in the steps From <= s < To, as
// Routing for tokens.
type Times struct {
	Stage int        `json:"stage"`
	From  int64      `json:"from"`
	To    int64      `json:"to"`
	Ranks []RankTime `json:"ranks"`
}

// RankTime is the time of one rank.
type RankTime struct {
	Rank  int   `json:"rank"`
	Split Split `json:"split"`
}

// Kind is "stage".
func (*Stage) Kind() string { return "stage" }

// Kind is "routing".
func (*Routing) Kind() string { return "routing" }

// Kind is "times".
func (*Times) Kind() string { return "times" }

// Check refuses what contradicts itself.
func (s *Stage) Check() error {
	switch {
	case s.From > s.Steps:
		return fmt.Errorf("from: step %d of %d", s.From, s.Steps)
	case s.Supervised > s.Tokens:
		return fmt.Errorf("supervised: %d of %d tokens", s.Supervised, s.Tokens)
	case s.Micro > s.Batch:
		return fmt.Errorf("micro: %d rows at once of a step of %d", s.Micro, s.Batch)
	case s.Accumulation > s.Batch:
		return fmt.Errorf("accumulation: %d micro-batches of a step of %d rows", s.Accumulation, s.Batch)
	case s.Micro > 0 && s.Accumulation < (s.Batch-1)/s.Micro+1:
		return fmt.Errorf("accumulation: %d micro-batches of %d rows do not hold a step of %d", s.Accumulation, s.Micro, s.Batch)
	}
	if err := s.LR.check(s.Steps); err != nil {
		return fmt.Errorf("lr: %w", err)
	}
	for name, d := range s.Teachers {
		if err := d.Check(); err != nil || d == "" || name == "" {
			return errors.Join(fmt.Errorf("teachers: %.80q has digest %.80q", name, d), err)
		}
	}
	return errors.Join(
		place(s.Stage, s.From),
		atLeast0("rows", s.Rows, "held_out", s.HeldOut, "tokens", s.Tokens, "supervised", s.Supervised,
			"batch", s.Batch, "micro", s.Micro, "accumulation", s.Accumulation, "sequence", s.Sequence, "round", s.Round),
		checkDigests("data", s.Data, "order", s.Order, "reference", s.Reference, "anchor", s.Anchor),
	)
}

// check refuses a schedule that no stage of steps steps can have.
func (s *Schedule) check(steps int64) error {
	switch {
	case !slices.Contains(schedules, s.Kind):
		return fmt.Errorf("kind: %.40q is unknown, want one of %v", s.Kind, schedules[1:])
	case s.Kind == "" && *s != Schedule{}:
		return errors.New("kind: missing")
	case !(s.Peak >= 0) || math.IsInf(s.Peak, 0):
		return fmt.Errorf("peak: %v, want a finite number from 0", s.Peak)
	case !(s.Final >= 0) || s.Final > s.Peak:
		return fmt.Errorf("final: %v, want 0 to the peak %v", s.Final, s.Peak)
	case s.Warmup < 0 || s.Warmup > steps:
		return fmt.Errorf("warmup: %d of %d steps", s.Warmup, steps)
	case s.Decay < 0 || s.Decay > steps-s.Warmup:
		return fmt.Errorf("decay: %d of %d steps after a warmup of %d", s.Decay, steps, s.Warmup)
	}
	return nil
}

// span refuses steps that cannot follow each other.
func span(stage int, from, to int64) error {
	if from > to {
		return fmt.Errorf("from: step %d to %d", from, to)
	}
	return place(stage, from)
}

// Check refuses what contradicts itself.
func (r *Routing) Check() error {
	for b, counts := range r.Counts {
		for e, n := range counts {
			if n < 0 {
				return fmt.Errorf("counts[%d][%d]: %d, want at least 0", b, e, n)
			}
		}
	}
	return span(r.Stage, r.From, r.To)
}

// Check refuses what contradicts itself.
func (t *Times) Check() error {
	last := -1
	for i := range t.Ranks {
		r := &t.Ranks[i]
		if r.Rank <= last {
			return fmt.Errorf("ranks[%d]: rank %d after %d, want them ascending from 0", i, r.Rank, last)
		}
		last = r.Rank
		if err := r.Split.Check(); err != nil {
			return fmt.Errorf("ranks[%d]: %w", i, err)
		}
	}
	return span(t.Stage, t.From, t.To)
}
