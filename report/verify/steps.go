package verify

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/merkle"
)

// StepText is the text of a step as every machine computes it: canonical bytes
// of its entry's body without times, utilization, memory, energy and the load
// by rank.
func StepText(s *record.Step) ([]byte, error) {
	c := *s
	c.Time, c.MFU, c.Memory, c.Energy = record.Split{}, 0, 0, nil
	if s.Load != nil {
		load := *s.Load
		load.Ranks = 0
		c.Load = &load
	}
	return record.Marshal(&c)
}

// Steps is the Merkle tree over steps: a [Party] that cannot trace them. It
// takes 64 bytes a step and the texts.
type Steps struct {
	texts [][]byte
	tree  merkle.Tree[digest.Digest]
}

// NewSteps returns the tree over the texts of steps, which are not copied.
func NewSteps(texts [][]byte) *Steps {
	leaves := make([]digest.Digest, len(texts))
	for i, t := range texts {
		leaves[i] = digest.Digest(tlog.RecordHash(t))
	}
	return &Steps{texts, merkle.NewTree(leaves)}
}

// Published implements [Party].
func (s *Steps) Published(context.Context) (int64, digest.Digest, error) {
	if len(s.texts) == 0 {
		return 0, digest.Digest{}, fmt.Errorf("verify: there is no step")
	}
	return int64(len(s.texts)), s.tree.Root(), nil
}

// Children implements [Party].
func (s *Steps) Children(_ context.Context, level int, i int64) (left, right digest.Digest, err error) {
	left, right, ok := s.tree.Children(level, i)
	if !ok {
		return left, right, fmt.Errorf("verify: node %d of level %d has not two children", i, level)
	}
	return left, right, nil
}

// Step implements [Party].
func (s *Steps) Step(_ context.Context, i int64) ([]byte, error) {
	if i < 0 || i >= int64(len(s.texts)) {
		return nil, fmt.Errorf("verify: there is no step %d: there are %d", i, len(s.texts))
	}
	return s.texts[i], nil
}

// Operators implements [Party]: there are none.
func (s *Steps) Operators(context.Context, int64) (Operators, error) { return nil, nil } //nolint:nilnil // it cannot
