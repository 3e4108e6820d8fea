package nn

import (
	"fmt"
	"strconv"
)

// Check tells what does not fit: a teacher of another vocabulary, states of another
// width, lessons of another number of positions, indices that are nowhere.
func (d *Distillation) Check(vocab, rows int) error {
	if err := d.Divergence.Check(); err != nil {
		return err
	}
	if len(d.States) != len(d.Teachers) {
		return fmt.Errorf("nn: distillation has states of %d teachers, want %d", len(d.States), len(d.Teachers))
	}
	for j := range d.Teachers {
		t := &d.Teachers[j]
		if t.Out != vocab {
			return fmt.Errorf("nn: teacher %q has a vocabulary of %d tokens, the student one of %d: they must be the same", t.Name, t.Out, vocab)
		}
		if len(t.Data) == 0 && len(d.States[j]) == 0 {
			continue // nobody's here
		}
		if t.In <= 0 || len(t.Data) != t.Out*t.In || len(d.States[j])%t.In != 0 {
			return fmt.Errorf("nn: teacher %q has a head of %d values and states of %d, want %d×%d and a multiple of %d", t.Name, len(t.Data), len(d.States[j]), t.Out, t.In, t.In)
		}
	}
	for k := range d.Lessons {
		if err := d.Lessons[k].check(d, rows); err != nil {
			return fmt.Errorf("nn: lesson %d: %w", k, err)
		}
	}
	return nil
}

func (l *Lesson) check(d *Distillation, rows int) error {
	if len(l.Teacher) != rows || len(l.State) != rows || len(l.Coef) != rows {
		return fmt.Errorf("has %d teachers, %d states and %d coefficients for %d positions", len(l.Teacher), len(l.State), len(l.Coef), rows)
	}
	for i, j := range l.Teacher {
		switch {
		case j < 0 && l.Coef[i] == 0:
		case j < 0:
			return fmt.Errorf("position %d has coefficient %v and no teacher", i, l.Coef[i])
		case int(j) >= len(d.Teachers):
			return fmt.Errorf("position %d has teacher %d of %d", i, j, len(d.Teachers))
		case len(d.Teachers[j].Data) == 0:
			return fmt.Errorf("position %d has teacher %q, whose head is not there", i, d.Teachers[j].Name)
		case l.State[i] < 0 || int(l.State[i]) >= len(d.States[j])/d.Teachers[j].In:
			return fmt.Errorf("position %d has state %d of the %d of teacher %q", i, l.State[i], len(d.States[j])/d.Teachers[j].In, d.Teachers[j].Name)
		case l.Coef[i]-l.Coef[i] != 0:
			return fmt.Errorf("position %d has coefficient %v", i, l.Coef[i])
		}
	}
	return nil
}

// numbered is the name of a lesson's output; the first has no number.
func numbered(name string, k int) string {
	if k == 0 {
		return name
	}
	return name + "." + strconv.Itoa(k)
}
