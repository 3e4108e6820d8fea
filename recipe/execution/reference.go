package execution

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/preference"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/checkpoint"
)

// pair makes ready what a stage that compares pairs of answers is about.
func (p *Part) pair() error {
	if p.Method != "dpo" {
		return nil
	}
	p.Pairs = pairsOf(&p.Stage, p.Material)
	if p.Refers() {
		return nil
	}
	return p.Compare(nil)
}

// pairsOf describes what a dpo stage, whose number of steps is known, compares.
func pairsOf(s *recipe.Stage, m *posttrain.Material) *preference.Pairs {
	held := m.HeldOut
	if n := s.Eval.Rows; n > 0 && n < len(held) {
		held = held[:n]
	}
	if s.Takes() != posttrain.KTO {
		return preference.NewPairs(m.Stream.Stream, s.Steps, s.Data.Rows, held)
	}
	return preference.NewJudged(s.DPO, m.Stream.Stream, m.Held, preference.Shape{
		Steps: s.Steps, Batch: s.Data.Rows, Sequence: s.Data.Sequence, Held: len(held), Paired: m.Paired,
	})
}

// judgements says what is odd about the answers that a kto stage learns from.
func judgements(s *recipe.Stage, m *posttrain.Material) (notes []string) {
	if s.Takes() != posttrain.KTO {
		return nil
	}
	switch good, bad := m.Desirable, m.Undesirable; {
	case bad == 0:
		notes = append(notes, fmt.Sprintf("stage %s: all %d answers are desirable: it learns to make them likelier than the reference does, and nothing to avoid", s.Name, good))
	case good == 0:
		notes = append(notes, fmt.Sprintf("stage %s: none of %d answers is desirable: it learns what to avoid, and nothing to say instead", s.Name, bad))
	default:
		// Ethayarajh et al. 2024, section 4.3.
		if r := s.DPO.Desirable * float64(good) / (s.DPO.Undesirable * float64(bad)); r < 2./3 || r > 1.5 {
			notes = append(notes, fmt.Sprintf("stage %s: %d answers are desirable and %d are not, with weights %v and %v: one side counts %.3g times the other; weights that make up for the numbers (a ratio of 1 to 4/3) are usual", s.Name, good, bad, s.DPO.Desirable, s.DPO.Undesirable, max(r, 1/r)))
		}
	}
	return notes
}

// Refers reports whether the stage's loss compares with a reference: its first
// weights.
func (p *Part) Refers() bool { return p.Pairs != nil && p.DPO.NeedsReference() }

// Reference returns what Compare was given, nil before.
func (p *Part) Reference() *preference.Reference { return p.reference }

// Compare makes the stage minimise the loss of its pairs, compared with a complete
// reference, or with none if it does not refer to any.
func (p *Part) Compare(ref *preference.Reference) error {
	var o train.Objective
	var err error
	if p.Takes() == posttrain.KTO {
		o, err = preference.NewJudging(*p.DPO, p.Pairs, ref, p.Machine.Model, p.MicroRows)
	} else {
		o, err = preference.NewObjective(*p.DPO, ref)
	}
	if err != nil {
		return err
	}
	if ref != nil {
		text, err := ref.Encode()
		if err != nil {
			return err
		}
		p.reference, p.digest = ref, record.SHA256(text)
	}
	p.Trainer.Objective(o)
	return nil
}

// Digest is that of the reference's file, empty without one.
func (p *Part) Digest() record.Digest { return p.digest }

// refer computes the reference of a stage that needs one, or reads it from the run
// directory: there it is kept for a resumed run, whose weights have moved.
func (s *stage) refer(ctx context.Context) error {
	if !s.Refers() {
		return nil
	}
	c := &referring{stage: s, name: record.ReferencePath(s.Index, s.Name)}
	c.path = filepath.Join(s.run.opts.Dir, filepath.FromSlash(c.name))
	text, err := c.read()
	if err != nil {
		return err
	}
	taken, _ := s.Trainer.Steps()
	if taken == 0 {
		return c.compute(ctx, text)
	}
	why := c.kept(text)
	if why == "" {
		return nil
	}
	if err := s.run.note("%s: %s; it is computed again by the weights that stage %s began with", c.name, why, s.Name); err != nil {
		return err
	}
	if err := s.run.rewind(s.Index); err != nil {
		return fmt.Errorf("%s: %s, and the weights that the stage began with, which could compute it again, cannot be had either (%w): put one of them back, or start another run", c.name, why, err)
	}
	if err := c.compute(ctx, text); err != nil {
		return err
	}
	if err := s.sameReference(); err != nil {
		return err
	}
	loaded, err := s.store.Load(s.State())
	if err != nil {
		return err
	}
	return s.Resume(loaded.Meta, loaded.Path)
}

// read reads the file, if there is one that can be a reference.
func (c *referring) read() ([]byte, error) {
	info, err := os.Stat(c.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err == nil && (!info.Mode().IsRegular() || info.Size() > c.Pairs.MaxBytes()):
		return []byte{}, nil // which is no reference, and is said to be none
	case err == nil:
		var text []byte
		if text, err = os.ReadFile(c.path); err == nil {
			return text, nil
		}
	}
	return nil, fmt.Errorf("reference: %w", err)
}

// sameReference refuses a reference that is not the one on record.
func (s *stage) sameReference() error {
	if all := s.run.standing.stages; s.Index < len(all) && all[s.Index].Reference != s.digest {
		return fmt.Errorf("the log-probabilities of the reference have digest %s, on record is %s: the stage began with other weights", s.digest, all[s.Index].Reference)
	}
	return nil
}

// referring is a reference that is being computed.
type referring struct {
	*stage
	name, path string    // of its file
	saved      time.Time // when it was last written
}

// referenceEvery is how much computing of a reference a crash may lose.
const referenceEvery = 20 * time.Second

// kept takes a file if it is the one on record, and says why if it is not.
func (c *referring) kept(text []byte) string {
	want := c.run.standing.stages[c.Index].Reference
	if text == nil {
		return "it is gone"
	}
	if d := record.SHA256(text); d != want {
		return fmt.Sprintf("it has digest %s, on record is %s", d, want)
	}
	ref := preference.NewReference(c.Pairs, "")
	err := ref.Decode(text)
	if err == nil {
		err = c.Compare(ref)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// compute computes by the weights that the model has, but for what a file holds
// already, if that is theirs.
func (c *referring) compute(ctx context.Context, text []byte) error {
	x := c.run
	weights, err := parametersDigest(x.model)
	if err != nil {
		return err
	}
	ref := preference.NewReference(c.Pairs, string(weights))
	if text != nil {
		if err := ref.Decode(text); err != nil {
			if err := x.note("%s: %v; it is computed again", c.name, err); err != nil {
				return err
			}
		}
	}
	if !ref.Complete() {
		if err := c.rest(ctx, ref); err != nil {
			return err
		}
	}
	return c.Compare(ref)
}

// rest computes what is left and writes the file, now and then and at the end,
// which may be an interruption.
func (c *referring) rest(ctx context.Context, ref *preference.Reference) error {
	x := c.run
	if err := durable.MkdirAll(x.opts.FS, filepath.Dir(c.path)); err != nil {
		return err
	}
	c.saved = x.opts.Now()
	err := ref.Compute(ctx, x.model, func(done int64) error {
		x.tell(Referring{Stage: c.Index, Name: c.Name, Done: done, Rows: c.Pairs.Rows()})
		if x.opts.Now().Sub(c.saved) < referenceEvery {
			return nil
		}
		c.saved = x.opts.Now()
		return c.write(ref)
	})
	return errors.Join(err, c.write(ref))
}

func (c *referring) write(ref *preference.Reference) error {
	text, err := ref.Encode()
	if err != nil {
		return err
	}
	return durable.WriteFile(c.run.opts.FS, c.path, text)
}

// rewind gives the model the weights that stage i began with.
func (x *runner) rewind(i int) error {
	if i == 0 {
		if _, err := parameters(x.recipe, x.model); err != nil {
			return err
		}
		return x.sameBeginning()
	}
	entries, err := checkpoint.List(x.storeDir(i - 1))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Step != x.standing.stages[i-1].Steps {
			continue
		}
		// The parameters alone: another optimizer's state would not fit beside this stage's.
		_, err := e.LoadPart(x.machine().Parameters())
		return err
	}
	return fmt.Errorf("the last checkpoint of stage %s is not kept", x.recipe.Stages[i-1].Name)
}
