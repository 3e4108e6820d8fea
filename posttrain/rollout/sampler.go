package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout/journal"
	"github.com/temper-ml/temper/report/record/digest"
)

// Options are what a sampler needs.
type Options struct {
	Config    Config
	Questions *Questions
	// Rewards judge answers; without any, nothing is judged. Judges, if not nil, are
	// made of them already: with what they name where it is on this machine.
	Rewards []reward.Spec
	Judges  *reward.Judges
	// Dynamic asks further questions where rewards of a group are equal: see
	// [Config.Waves].
	Dynamic bool
	// Routes, if not nil, is the model's architecture: the choices it makes for the
	// tokens are recorded with the answers; of experts alone, if ExpertsOnly.
	Routes      *arch.Config
	ExpertsOnly bool
	// Old and Reference say which arrays of log-probabilities a round has before it is
	// sealed.
	Old, Reference bool
	// Seed names the random numbers: see [Seed].
	Seed uint64
	// Dir holds the rounds' files; without it they are kept nowhere. ReadOnly leaves it
	// as it is, and to others: then there is Read only.
	Dir      string
	ReadOnly bool
	// FS writes them, the machine's if nil. Now, if not nil, tells when it is time to ask
	// the disk what it has; the ends of waves and rounds always do, and wait for it.
	FS  durable.FS
	Now func() time.Time
	// Judging is how many answers are judged at a time: 4 if 0.
	Judging int
	// Tell, if not nil, is told after every pass of the model how far a round is. Warn,
	// if not nil, is told what a person should know.
	Tell func(Progress)
	Warn func(string)
}

// Progress is how far a round is.
type Progress struct {
	Round     int64
	Wave      int
	Questions int64 // asked so far
	Answers   int64 // sampled
	Judged    int64
	Total     int64 // answers that will be there at the end of the wave
	Tokens    int64 // of answers
	// Reward is the mean over the answers judged so far.
	Reward float64
}

// Seed returns the seed of a stage from that of its recipe.
func Seed(seed uint64, stage string) uint64 {
	return detrand.Key(seed, "rollout "+stage).Uint64At(0)
}

// syncEvery is how much sampling a machine that fails may cost.
const syncEvery = 5 * time.Second

// Sampler makes the rounds of a stage. One round is sampled at a time; rounds sampled
// before may be amended and sealed meanwhile, each by one goroutine. Read, Prune and
// Measure may run beside all that.
type Sampler struct {
	o      Options
	judges *reward.Judges
	config digest.Digest
	lock   *durable.Lock

	mu      sync.Mutex
	busy    bool
	current int64           // round that was sampled last
	open    map[*Round]*run // that wait for Amend and Seal
}

// ErrUnsealed is wrapped by the error of [Sampler.Read] about a round that is not
// complete.
var ErrUnsealed = errors.New("not complete")

var errReadOnly = errors.New("rollout: the rounds are only to be read")

// NewSampler returns a sampler, and claims its directory.
func NewSampler(o Options) (*Sampler, error) {
	s := &Sampler{o: o, current: math.MaxInt64, open: map[*Round]*run{}}
	if s.o.FS == nil {
		s.o.FS = durable.OS
	}
	if s.o.Judging == 0 {
		s.o.Judging = 4
	}
	if s.judges = o.Judges; s.judges == nil && len(o.Rewards) > 0 {
		var err error
		if s.judges, err = reward.New(o.Rewards); err != nil {
			return nil, err
		}
		s.judges.Parallel = s.o.Judging
	}
	switch {
	case o.Judges != nil && len(o.Rewards) == 0:
		return nil, errors.New("rollout: judges without the rewards that they are made of")
	case o.Dynamic && s.judges == nil:
		return nil, errors.New("rollout: dynamic sampling looks at rewards, and there are none")
	}
	if err := s.identify(); err != nil {
		return nil, err
	}
	if o.Dir == "" || o.ReadOnly {
		return s, nil
	}
	if err := durable.MkdirAll(s.o.FS, o.Dir); err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	var err error
	if s.lock, err = durable.Acquire(o.Dir); err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	if err := s.sweep(func(name string) bool { return strings.Contains(name, fileSuffix+".tmp-") }); err != nil {
		s.lock.Release()
		return nil, err
	}
	return s, nil
}

// identify computes the digest of all that decides answers, verdicts and groups, besides
// questions, seed and weights.
func (s *Sampler) identify() error {
	c := s.o.Config
	b, err := json.Marshal(struct {
		Format                          string
		Prompts, Group, MaxTokens, TopK int
		Temperature, TopP               float32
		Stop                            []string
		Waves                           int
		Dynamic, Old, Reference         bool
		Routes, ExpertsOnly             bool
		End                             int32
		Tokenizer                       digest.Digest
		Rewards                         []reward.Spec
	}{
		"temper-rollout-config/1", c.Prompts, c.Group, c.MaxTokens, c.TopK, c.Temperature, c.TopP, c.Stop, s.waves(),
		s.o.Dynamic, s.o.Old, s.o.Reference, s.o.Routes != nil, s.o.Routes != nil && s.o.ExpertsOnly, s.o.Questions.builder.End(), s.o.Questions.tok.Digest(), s.o.Rewards,
	})
	if err != nil {
		return fmt.Errorf("rollout: %w", err)
	}
	s.config = sha256.Sum256(b)
	return nil
}

func (s *Sampler) waves() int {
	if s.o.Dynamic {
		return s.o.Config.Waves
	}
	return 1
}

// Close gives the directory up. A round that was not sealed is continued by the next
// sampler.
func (s *Sampler) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.drop(func(*Round) bool { return true })
	s.lock.Release()
	return err
}

// drop closes the files of rounds that wait to be sealed.
func (s *Sampler) drop(which func(*Round) bool) error {
	var errs []error
	for round, r := range s.open {
		if which(round) {
			delete(s.open, round)
			errs = append(errs, r.file.Close()) // of a nil one too
		}
	}
	return errors.Join(errs...)
}

const fileSuffix = ".rollout"

// path is where a round's file is.
func (s *Sampler) path(number int64) string {
	return filepath.Join(s.o.Dir, fmt.Sprintf("%06d%s", number, fileSuffix))
}

// header describes a round's file.
func (s *Sampler) header(policy digest.Digest, number, first int64) journal.Header {
	c := &s.o.Config
	return journal.Header{
		Config: s.config, Questions: s.o.Questions.Digest(), Policy: policy, Seed: s.o.Seed, Number: number, First: first,
		Prompts: uint32(c.Prompts), Group: uint32(c.Group), Tokens: uint32(c.MaxTokens), Waves: uint32(s.waves()),
	}
}

// Sample returns a round of answers by a model whose weights have the given digest, to
// the questions from a cursor on. It continues the round's file where that ends, and
// only reads it if it is complete: then the model may be nil. A zero digest takes an
// existing file's. When ctx ends or something fails, all that was sampled is in the
// file, and the next call continues there.
//
// The round is sealed unless it needs arrays: see [Sampler.Amend]. The weights must not
// change, nor anybody else use the model, before Sample returns.
func (s *Sampler) Sample(ctx context.Context, m *deepseek.Model, policy digest.Digest, number, first int64) (*Round, error) {
	if err := s.begin(number); err != nil {
		return nil, err
	}
	defer s.end()
	r, err := s.start(m, policy, number, first)
	if err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	if err := r.sample(ctx, m); err != nil {
		if ctx.Err() != nil && r.file != nil {
			_ = r.file.Sync() // a stop in good order loses nothing to a power cut either
		}
		_ = r.file.Close()
		return nil, fmt.Errorf("rollout: round %d: %w", number, err)
	}
	if r.round.Sealed {
		return r.round, nil
	}
	s.mu.Lock()
	s.open[r.round] = r
	s.mu.Unlock()
	if s.o.Old || s.o.Reference {
		return r.round, nil
	}
	if err := s.seal(r); err != nil {
		return nil, err
	}
	return r.round, nil
}

func (s *Sampler) begin(number int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.o.ReadOnly:
		return errReadOnly
	case s.busy:
		return errors.New("rollout: a round is being sampled already")
	}
	s.busy, s.current = true, number
	return s.drop(func(r *Round) bool { return r.Number == number })
}

// waiting returns what waits to be sealed of a round, nil if nothing does.
func (s *Sampler) waiting(r *Round) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[r]
}

func (s *Sampler) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
}

// Amend keeps the arrays Old and Reference of answers of a round that was sampled and is
// not sealed: of those with the given indices, or of all that have any. Once kept they
// must not change. A round that is interrupted before it is sealed comes back with those
// that were kept.
func (s *Sampler) Amend(r *Round, answers ...int) error {
	open := s.waiting(r)
	if open == nil {
		return errors.New("rollout: only a round that this sampler sampled can be amended, until it is sealed")
	}
	if len(answers) == 0 {
		for i := range r.Answers {
			answers = append(answers, i)
		}
	}
	for _, i := range answers {
		a := &r.Answers[i]
		for which, list := range [][]float32{journal.Old: a.Old, journal.Reference: a.Reference} {
			if list == nil {
				continue
			}
			if len(list) != len(a.Tokens) {
				return fmt.Errorf("rollout: round %d, answer %d: %d log-probabilities of %d tokens", r.Number, i, len(list), len(a.Tokens))
			}
			if k := slices.IndexFunc(list, func(v float32) bool { return v-v != 0 }); k >= 0 {
				return fmt.Errorf("rollout: round %d, answer %d: log-probability %d of %d is %v", r.Number, i, k, len(list), list[k])
			}
			if err := open.keep(i, which, list); err != nil {
				return fmt.Errorf("rollout: %w", err)
			}
		}
	}
	return nil
}

// Seal completes a round that was sampled. It returns when that is on the disk.
func (s *Sampler) Seal(r *Round) error {
	switch {
	case r.Sealed:
		return nil
	case s.waiting(r) == nil:
		return errors.New("rollout: only a round that this sampler sampled can be sealed")
	}
	for i := range r.Groups {
		g := &r.Groups[i]
		for k := range g.Answers {
			if a := &g.Answers[k]; g.Dropped == "" && (s.o.Old && a.Old == nil || s.o.Reference && a.Reference == nil) {
				return fmt.Errorf("rollout: round %d: answer %d to question %d has not all log-probabilities that are needed", r.Number, a.Sample, a.Cursor)
			}
		}
	}
	if err := s.Amend(r); err != nil {
		return err
	}
	return s.seal(s.waiting(r))
}

func (s *Sampler) seal(r *run) error {
	if r.file != nil {
		if err := r.file.Seal(r.round.Used, r.round.Digest()); err != nil {
			return fmt.Errorf("rollout: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, r.round)
	r.round.Sealed = true
	return nil
}

// Read reads the file of a complete round. The error wraps os.ErrNotExist if there is
// none, and [ErrUnsealed] if the round is not complete.
func (s *Sampler) Read(number int64) (*Round, error) {
	if s.o.Dir == "" {
		return nil, fmt.Errorf("rollout: round %d: %w", number, os.ErrNotExist)
	}
	state, err := journal.Read(s.path(number))
	if err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	want := s.header(state.Header.Policy, number, state.Header.First)
	if err := state.Header.Match(s.path(number), &want); err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	if !state.Sealed {
		return nil, fmt.Errorf("rollout: %s is %w", s.path(number), ErrUnsealed)
	}
	r := &run{s: s, round: s.round(&state.Header)}
	if err := r.recall(state); err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	return r.round, nil
}

// round returns one without answers.
func (s *Sampler) round(h *journal.Header) *Round {
	return &Round{Number: h.Number, First: h.First, Seed: h.Seed, Config: h.Config, Policy: h.Policy}
}

// Prune removes the files of rounds before one, but none from those on that are sampled
// or wait for their seal.
func (s *Sampler) Prune(before int64) error {
	switch {
	case s.o.ReadOnly:
		return errReadOnly
	case s.o.Dir == "":
		return nil
	}
	s.mu.Lock()
	before = min(before, s.current)
	for r := range s.open {
		before = min(before, r.Number)
	}
	s.mu.Unlock()
	return s.sweep(func(name string) bool {
		digits, ok := strings.CutSuffix(name, fileSuffix)
		n, err := strconv.ParseInt(digits, 10, 64)
		return ok && err == nil && n < before
	})
}

// sweep removes files of the directory.
func (s *Sampler) sweep(stale func(name string) bool) error {
	entries, err := os.ReadDir(s.o.Dir)
	if err != nil {
		return fmt.Errorf("rollout: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() || !stale(e.Name()) {
			continue
		}
		if err := s.o.FS.RemoveAll(filepath.Join(s.o.Dir, e.Name())); err != nil {
			return fmt.Errorf("rollout: %w", err)
		}
	}
	return nil
}
