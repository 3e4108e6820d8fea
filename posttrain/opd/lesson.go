package opd

import (
	"fmt"
	"slices"

	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/train"
)

// Share is a teacher's part in the objective of a segment.
type Share struct {
	Teacher int
	Weight  float32
}

// maxWeight bounds a teacher's weight.
const maxWeight = 1e6

// Lesson is a row and, for each of its segments, its teachers: one if questions are
// routed by domain, several for a weighted sum, none for what is not learnt.
type Lesson struct {
	Row    train.Row
	Shares [][]Share
}

// Routed is a lesson with the same single teacher for all segments of a row.
func Routed(r train.Row, teacher int) Lesson {
	l := Lesson{Row: r}
	for range r.Segments {
		l.Shares = append(l.Shares, []Share{{teacher, 1}})
	}
	return l
}

// check tells what is wrong with the lesson, and puts its shares in the order of the
// teachers.
func (l *Lesson) check(teachers []Teacher) error {
	if len(l.Shares) != len(l.Row.Segments) {
		return fmt.Errorf("has teachers for %d segments, want %d", len(l.Shares), len(l.Row.Segments))
	}
	n := len(l.Row.Tokens)
	if len(l.Row.Labels) != n || len(l.Row.MTPLabels) != n {
		return fmt.Errorf("has %d labels and %d mtp labels for %d tokens", len(l.Row.Labels), len(l.Row.MTPLabels), n)
	}
	if err := nn.CheckSegments(l.Row.Segments, n); err != nil {
		return err
	}
	for i, shares := range l.Shares {
		shares = slices.Clone(shares)
		slices.SortFunc(shares, func(a, b Share) int { return a.Teacher - b.Teacher })
		for j, s := range shares {
			switch {
			case s.Teacher < 0 || s.Teacher >= len(teachers):
				return fmt.Errorf("segment %d has teacher %d of %d", i, s.Teacher, len(teachers))
			case j > 0 && shares[j-1].Teacher == s.Teacher:
				return fmt.Errorf("segment %d has teacher %q twice", i, teachers[s.Teacher].Name)
			case !(s.Weight > 0) || s.Weight > maxWeight:
				return fmt.Errorf("segment %d has weight %v for teacher %q, want more than 0, at most 1e6", i, s.Weight, teachers[s.Teacher].Name)
			}
		}
		l.Shares[i] = shares
	}
	return nil
}

// taughtBy are the segments that a teacher has a share in.
func (l *Lesson) taughtBy(teacher int) []int32 {
	var out []int32
	for i, shares := range l.Shares {
		if slices.ContainsFunc(shares, func(s Share) bool { return s.Teacher == teacher }) {
			out = append(out, int32(i))
		}
	}
	return out
}

// labels counts the positions with a label in the given segments.
func (l *Lesson) labels(segments []int32) int {
	n := 0
	for _, i := range segments {
		s := l.Row.Segments[i]
		for _, label := range l.Row.Labels[s.Start:s.End] {
			if label >= 0 {
				n++
			}
		}
	}
	return n
}

// Deepest is the most teachers of a segment.
func (l *Lesson) Deepest() int {
	n := 0
	for _, shares := range l.Shares {
		n = max(n, len(shares))
	}
	return n
}

// teachers are those of any segment, ascending.
func (l *Lesson) teachers() []int {
	var all []int
	for _, shares := range l.Shares {
		for _, s := range shares {
			all = append(all, s.Teacher)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Sort brings rows with the same teachers together: by their lists of teachers, and in
// the given order where these are equal. The order of a step's rows is that in which its
// gradient is added up.
func Sort(lessons []Lesson) {
	slices.SortStableFunc(lessons, func(a, b Lesson) int { return slices.Compare(a.teachers(), b.teachers()) })
}
