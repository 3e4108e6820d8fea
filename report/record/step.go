package record

import (
	"fmt"
	"math"
)

// Step is one optimizer step. Counts and times are of all ranks together where
// they can be added, and of the whole group as seen by its clock where not.
type Step struct {
	Stage int `json:"stage"`
	// Step counts from 0 within the stage.
	Step int64 `json:"step"`
	// Examples, Tokens and Supervised are what the step was computed from.
	Examples   int64 `json:"examples"`
	Tokens     int64 `json:"tokens"`
	Supervised int64 `json:"supervised"`
	// Batch is the digest of the step's rows, in order.
	Batch Digest `json:"batch,omitempty"`
	// Losses are the parts of the objective, unweighted means, by name; "lm" is
	// the language model's.
	Losses map[string]float64 `json:"losses"`
	// GradNorm is before clipping, LR what the update used.
	GradNorm float64 `json:"grad_norm"`
	LR       float64 `json:"lr"`
	// Skipped tells why the step changed nothing, empty if it did.
	Skipped string `json:"skipped,omitempty"`
	// Load is how experts were used, nil without experts.
	Load *Load `json:"load,omitempty"`
	// Bias, Parameters and Optimizer are digests of the state after the step;
	// the last two cover the blocks that Manifest.DigestPeriod says.
	Bias       Digest `json:"bias,omitempty"`
	Parameters Digest `json:"parameters,omitempty"`
	Optimizer  Digest `json:"optimizer,omitempty"`
	// Time says where the wall time went.
	Time Split `json:"time"`
	// FLOPs are the model's, forward and backward, without recomputation.
	FLOPs float64 `json:"flops"`
	// MFU is FLOPs over what the devices could have done in Time.Wall, counted
	// by Convention. Zero where no peak was measured.
	MFU        float64 `json:"mfu,omitempty"`
	Convention string  `json:"convention,omitempty"`
	// Memory is the peak so far in bytes of the rank that needs most.
	Memory int64 `json:"memory,omitempty"`
	// Energy is joules of the step, nil where the platform does not tell.
	Energy *float64 `json:"energy,omitempty"`
}

// Kind is "step".
func (*Step) Kind() string { return "step" }

// Check refuses counts, digests and times that contradict each other.
func (s *Step) Check() error {
	switch {
	case s.Stage < 0 || s.Step < 0:
		return fmt.Errorf("stage %d, step %d: want both at least 0", s.Stage, s.Step)
	case s.Examples < 0 || s.Tokens < 0 || s.Memory < 0:
		return fmt.Errorf("examples %d, tokens %d, memory %d: want none below 0", s.Examples, s.Tokens, s.Memory)
	case s.Supervised < 0 || s.Supervised > s.Tokens:
		return fmt.Errorf("supervised: %d of %d tokens", s.Supervised, s.Tokens)
	case s.Energy != nil && !(*s.Energy >= 0):
		return fmt.Errorf("energy: %v J, want at least 0", *s.Energy)
	}
	if err := s.Time.Check(); err != nil {
		return fmt.Errorf("time: %w", err)
	}
	if s.Load != nil {
		if err := s.Load.Table.Check(); err != nil {
			return fmt.Errorf("load.table: %w", err)
		}
	}
	err := checkDigest("batch", s.Batch)
	if err == nil {
		err = checkDigest("bias", s.Bias)
	}
	if err == nil {
		err = checkDigest("parameters", s.Parameters)
	}
	if err == nil {
		err = checkDigest("optimizer", s.Optimizer)
	}
	return err
}

// checkDigests checks digests that follow their names.
func checkDigests(pairs ...any) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := checkDigest(pairs[i].(string), pairs[i+1].(Digest)); err != nil {
			return err
		}
	}
	return nil
}

func checkDigest(name string, d Digest) error {
	if err := d.Check(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Split says where the wall time of a step went, in nanoseconds. The parts add
// up to Wall exactly; what is in no other part is Other.
type Split struct {
	Wall    int64 `json:"wall"`
	Data    int64 `json:"data,omitempty"`
	Forward int64 `json:"forward,omitempty"`
	// Backward includes recomputation.
	Backward int64 `json:"backward,omitempty"`
	// Model is forward and backward where they are not measured apart.
	Model int64 `json:"model,omitempty"`
	// Communication is exposed: compute waits for it.
	Communication int64 `json:"communication,omitempty"`
	// Bubble is the wait for other pipeline stages.
	Bubble     int64 `json:"bubble,omitempty"`
	Optimizer  int64 `json:"optimizer,omitempty"`
	Checkpoint int64 `json:"checkpoint,omitempty"`
	// Stall is the wait for a slow or failed part.
	Stall int64 `json:"stall,omitempty"`
	Other int64 `json:"other,omitempty"`
}

// parts are the times that add up, with their names.
func (s *Split) parts() ([10]string, [10]int64) {
	return [...]string{"data", "forward", "backward", "model", "communication", "bubble", "optimizer", "checkpoint", "stall", "other"},
		[...]int64{s.Data, s.Forward, s.Backward, s.Model, s.Communication, s.Bubble, s.Optimizer, s.Checkpoint, s.Stall, s.Other}
}

// Check refuses negative parts, and a sum that is not Wall.
func (s *Split) Check() error {
	names, parts := s.parts()
	left := s.Wall
	for i, p := range parts {
		if p < 0 {
			return fmt.Errorf("%s: %d ns, want at least 0", names[i], p)
		}
		if left -= p; left < 0 {
			return fmt.Errorf("parts up to %s exceed wall by %d ns", names[i], -left)
		}
	}
	if left != 0 {
		return fmt.Errorf("parts add up to %d ns, wall is %d ns", s.Wall-left, s.Wall)
	}
	return nil
}

// Load is how evenly the experts of a step were used. The violation of a block
// is max(tokens of an expert)/mean - 1.
type Load struct {
	// Max is the largest violation, of block Block (counted among the blocks
	// that have experts, the first such block if several), and Mean the mean
	// over blocks; both rounded to four decimals.
	Max   float64 `json:"max"`
	Block int     `json:"block"`
	Mean  float64 `json:"mean"`
	// Ranks is the same relative overload over ranks, 0 of one rank.
	Ranks float64 `json:"ranks,omitempty"`
	// Table is the digest of the complete table (see [TableDigest]).
	Table Digest `json:"table"`
}

// NewLoad summarises the routed tokens per block and expert.
func NewLoad(table [][]int64) *Load {
	l := &Load{Table: TableDigest(table)}
	if len(table) == 0 {
		return l
	}
	most, sum := 0.0, 0.0
	for i, counts := range table {
		v := violation(counts)
		sum += v
		if v > most {
			most, l.Block = v, i
		}
	}
	l.Max, l.Mean = round4(most), round4(sum/float64(len(table)))
	return l
}

// round4 rounds to four decimals.
func round4(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// violation returns the relative overload of the busiest expert.
func violation(counts []int64) float64 {
	var sum, most int64
	for _, c := range counts {
		sum += c
		most = max(most, c)
	}
	if sum == 0 {
		return 0
	}
	return float64(most)*float64(len(counts))/float64(sum) - 1
}

// TableDigest is the SHA-256 of the canonical bytes of a load table, an array
// of arrays of integers.
func TableDigest(table [][]int64) Digest {
	b := make([]byte, 0, 1024)
	b = append(b, '[')
	for i, counts := range table {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendInts(b, counts)
	}
	return SHA256(append(b, ']'))
}
