package execution

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/posttrain/rollout/journal"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
)

// ErrNoPrograms says that answers cannot be judged here.
var ErrNoPrograms = errors.New("the rules run programs that the recipe names, and nobody allowed that here")

// keeper samples rounds into the site's folder, and reads them from there, or from
// the folder of others. It implements [policy.Rounds].
type keeper struct {
	*rollout.Sampler
	part  *Part
	other *rollout.Sampler // reads the rounds of others, nil without

	mu      sync.Mutex
	sampled map[int64]bool
}

// openKeeper returns the keeper of a stage.
func openKeeper(p *Part, q *rollout.Questions) (*keeper, error) {
	m := p.Machine
	site := &m.Site
	o := rollout.Options{
		Config: *p.Rollout, Questions: q, Rewards: p.Rewards, Seed: rollout.Seed(m.Recipe.Seed, p.Name),
		FS: site.FS, Now: m.Now, Warn: site.Note,
		Tell: func(at rollout.Progress) { site.Tell(Sampling{Stage: p.Index, Name: p.Name, Progress: at}) },
	}
	if p.GRPO != nil {
		o.Dynamic, o.Old, o.Reference = p.GRPO.Dynamic, p.GRPO.Old == "computed", p.GRPO.KL.Weight > 0
		if p.GRPO.Replay {
			o.Routes, o.ExpertsOnly = m.Model.Config(), p.GRPO.ExpertsOnly
		}
	}
	var err error
	if o.Judges, err = p.judges(); err != nil {
		return nil, err
	}
	k := &keeper{part: p, sampled: map[int64]bool{}}
	dir := filepath.FromSlash(record.RolloutDir(p.Index, p.Name))
	o.Dir = filepath.Join(site.Dir, dir)
	if k.Sampler, err = rollout.NewSampler(o); err != nil || site.Kept == "" {
		return k, err
	}
	o.Dir, o.ReadOnly = filepath.Join(site.Kept, dir), true
	if k.other, err = rollout.NewSampler(o); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// judges makes the stage's rules. Where programs may not be run, those that would run
// one stand for nothing, and nothing is to be judged.
func (p *Part) judges() (*reward.Judges, error) {
	if len(p.Rewards) == 0 {
		return nil, nil //nolint:nilnil // nothing is judged
	}
	if !p.Commands() || p.Machine.Site.Programs {
		specs, err := p.Machine.Recipe.StageRewards(p.Index)
		if err != nil {
			return nil, err
		}
		return reward.New(specs)
	}
	specs := slices.Clone(p.Rewards)
	for i := range specs {
		if specs[i].Command != nil {
			specs[i] = reward.Spec{Name: fmt.Sprintf("program %d", i), Exact: &reward.Exact{Answer: "answer"}}
		}
	}
	return reward.New(specs)
}

// first returns the cursor of a round, by the record of the one before.
func (k *keeper) first(number int64) (int64, error) {
	if number == 0 {
		return 0, nil
	}
	e := k.part.Machine.Site.Known(k.part.Index, number-1)
	if e == nil {
		return 0, fmt.Errorf("round %d is not on record: nothing tells which questions it used", number-1)
	}
	return e.First + e.Prompts, nil
}

// Sample samples a round.
func (k *keeper) Sample(ctx context.Context, m *deepseek.Model, weights digest.Digest, number, first int64) (*rollout.Round, error) {
	if k.part.Commands() && !k.part.Machine.Site.Programs {
		r, err := k.Read(number)
		if err != nil && errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w, and the round's file is not there: %w", ErrNoPrograms, err)
		}
		return r, err
	}
	k.mu.Lock()
	k.sampled[number] = true
	k.mu.Unlock()
	r, err := k.Sampler.Sample(ctx, m, weights, number, first)
	var other *journal.MismatchError
	if err == nil || !errors.Is(err, journal.ErrDamaged) && !errors.As(err, &other) {
		return r, err
	}
	// All of it can be had again.
	site, path := &k.part.Machine.Site, record.RolloutPath(k.part.Index, k.part.Name, number)
	site.Note(fmt.Sprintf("%v; it is sampled again", err))
	if err := site.FS.RemoveAll(filepath.Join(site.Dir, filepath.FromSlash(path))); err != nil {
		return nil, err
	}
	return k.Sampler.Sample(ctx, m, weights, number, first)
}

// sampledHere reports whether a round was.
func (k *keeper) sampledHere(number int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sampled[number]
}

// Read returns a round all of whose answers are there. It must be the one on record,
// if one is.
func (k *keeper) Read(number int64) (*rollout.Round, error) {
	r, err := k.Sampler.Read(number)
	if errors.Is(err, rollout.ErrUnsealed) {
		var first int64
		if first, err = k.first(number); err == nil {
			r, err = k.Sampler.Sample(context.Background(), nil, digest.Digest{}, number, first)
		}
	}
	path := record.RolloutPath(k.part.Index, k.part.Name, number)
	if err != nil && k.other != nil {
		r, err = k.others(number, path)
	}
	if err != nil {
		return nil, err
	}
	known := k.part.Machine.Site.Known(k.part.Index, number)
	if got := record.Digest(r.Digest().String()); known != nil && got != known.Batch {
		return nil, &Lost{fmt.Errorf("%s has digest %s, on record is %s", path, got, known.Batch)}
	}
	return r, nil
}

// others reads a round of others. That it is there and cannot be used is a [Lost].
func (k *keeper) others(number int64, path string) (*rollout.Round, error) {
	info, err := os.Lstat(filepath.Join(k.part.Machine.Site.Kept, filepath.FromSlash(path)))
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &Lost{fmt.Errorf("%s is no file", path)}
	}
	r, err := k.other.Read(number)
	if err != nil {
		return nil, &Lost{err}
	}
	return r, nil
}

// Close gives the files up.
func (k *keeper) Close() error {
	if k.Sampler == nil {
		return nil
	}
	return k.Sampler.Close()
}
