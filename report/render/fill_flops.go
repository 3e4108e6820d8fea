package render

import (
	"math"
	"slices"
	"time"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
)

// perToken is what operations per token depend on.
type perToken struct {
	by     arch.Convention
	length int64
}

// published are the ways of counting of other programs, which the report adds
// to the run's own.
var published = []struct {
	by    arch.Convention
	basis string
}{
	{arch.Megatron, "6 for each active matrix parameter and token, causal attention halved, input embedding and MTP left out"},
	{arch.Verl, "as megatron, and the input embedding as if it were multiplied"},
	{arch.Torchtitan, "as megatron, attention not halved"},
}

// mostNames bounds the different conventions, losses and measures of a run that
// are told apart: a record may name each of its steps' otherwise.
const mostNames = 64

// ownConvention is what the records of temper call their count.
const ownConvention = "temper"

// ownBasis says what the run's own way counts.
const ownBasis = "recorded by the run: every product, attention by the keys really attended, the output head at supervised positions, MTP and indexer where they train; no recomputation, no optimizer"

// flops puts a step's operations under its convention, and those of other
// programs beside it where the architecture is on record. Without a peak of the
// devices, the first utilization on record tells which one it was taken of.
func (f *Filler) flops(s *Step, b *record.Step) {
	r := &f.run
	name := b.Convention
	if name == "" {
		name = "unnamed"
	}
	c := slices.IndexFunc(r.Conventions, func(c Convention) bool { return c.Name == name })
	if c < 0 && len(r.Conventions) >= mostNames {
		return
	}
	if c < 0 {
		c = f.convention(name)
	}
	s.FLOPs = make([]float64, len(r.Conventions))
	s.FLOPs[c] = b.FLOPs
	for i := range r.Conventions {
		by := arch.Convention(r.Conventions[i].Name)
		if i == c || r.Model == nil || b.Tokens <= 0 || !isPublished(by) {
			continue
		}
		s.FLOPs[i] = float64(f.of(by, meanLength(b.Tokens, b.Examples)) * float64(b.Tokens))
	}
	if r.Peak == 0 && b.MFU > 0 && b.FLOPs > 0 && b.Time.Wall > 0 {
		if peak := b.FLOPs / time.Duration(b.Time.Wall).Seconds() / b.MFU; peak > 0 && !math.IsInf(peak, 1) {
			r.Peak, r.PeakBasis = peak, "that of the first utilization on record"
		}
	}
}

// convention adds the run's way of counting, and once those of others.
func (f *Filler) convention(name string) int {
	r := &f.run
	basis := "as the record has it"
	if name == ownConvention {
		basis = ownBasis
	}
	r.Conventions = append(r.Conventions, Convention{name, basis})
	c := len(r.Conventions) - 1
	if c == 0 && r.Model != nil {
		for _, p := range published {
			if string(p.by) != name {
				r.Conventions = append(r.Conventions, Convention{string(p.by), p.basis + "; examples of a step taken as equally long"})
			}
		}
	}
	return c
}

func isPublished(by arch.Convention) bool {
	for _, p := range published {
		if p.by == by {
			return true
		}
	}
	return false
}

// meanLength is the tokens of an example, rounded up, and to three digits so
// that a long run has few different ones.
func meanLength(tokens, examples int64) int64 {
	n := tokens
	if examples > 0 {
		n = (tokens-1)/examples + 1
	}
	grain := int64(1)
	for n/grain >= 1000 {
		grain *= 10
	}
	return max(n/grain*grain, 1)
}

// of is the operations per token of examples of n tokens, 0 where the
// convention does not know the model.
func (f *Filler) of(by arch.Convention, n int64) float64 {
	key := perToken{by, n}
	if v, ok := f.perToken[key]; ok {
		return v
	}
	v, err := f.run.Model.FLOPsPerToken(by, int(min(n, 1<<31-1)))
	if err != nil {
		v = 0
	}
	f.perToken[key] = v
	return v
}
