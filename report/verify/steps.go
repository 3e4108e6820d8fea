package verify

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
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
	// levels[k][i] is the hash of steps i·2^k up to (i+1)·2^k, or to the end.
	levels [][]digest.Digest
}

// NewSteps returns the tree over the texts of steps, which are not copied.
func NewSteps(texts [][]byte) *Steps {
	leaves := make([]digest.Digest, len(texts))
	for i, t := range texts {
		leaves[i] = digest.Digest(tlog.RecordHash(t))
	}
	s := &Steps{texts, [][]digest.Digest{leaves}}
	for below := leaves; len(below) > 1; {
		above := make([]digest.Digest, 0, (len(below)+1)/2)
		for i := 0; i+1 < len(below); i += 2 {
			above = append(above, nodeHash(below[i], below[i+1]))
		}
		if len(below)%2 == 1 { // a node without a sibling is its parent
			above = append(above, below[len(below)-1])
		}
		s.levels = append(s.levels, above)
		below = above
	}
	return s
}

// Published implements [Party].
func (s *Steps) Published(context.Context) (int64, digest.Digest, error) {
	if len(s.texts) == 0 {
		return 0, digest.Digest{}, fmt.Errorf("verify: there is no step")
	}
	return int64(len(s.texts)), s.levels[len(s.levels)-1][0], nil
}

// Children implements [Party].
func (s *Steps) Children(_ context.Context, level int, i int64) (left, right digest.Digest, err error) {
	if level < 1 || level >= len(s.levels) || i < 0 || 2*i+1 >= int64(len(s.levels[level-1])) {
		return left, right, fmt.Errorf("verify: node %d of level %d has not two children", i, level)
	}
	below := s.levels[level-1]
	return below[2*i], below[2*i+1], nil
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
