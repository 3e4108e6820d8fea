package schedule

import (
	"testing"

	"github.com/temper-ml/temper/distributed/mesh"
)

func exampleSpec(k Kind, stages, chunks, micro int) Spec {
	layers := Layers{Blocks: 4 * stages * chunks, MTP: 1}
	cuts := chunks
	if k == DualPipe {
		cuts = 1
	}
	split, err := SplitEven(layers, stages, cuts, Even{})
	if k == DualPipe {
		split, err = SplitEven(Layers{Blocks: 4 * stages, MTP: 1}, stages, 1, Even{})
	}
	if err != nil {
		panic(err)
	}
	experts := make([]bool, split.Blocks())
	for i := range experts {
		experts[i] = i >= 3
	}
	return Spec{
		Mesh: mesh.Mesh{TP: 2, CP: 2, DP: 4, PP: stages, EP: 8, ETP: 1},
		Kind: k, Chunks: chunks, Micro: micro, Split: split, Experts: experts,
		Zero: 1, Recompute: RecomputeSelective, Sequence: true,
		Overlap: Overlap{Sends: true, Gradients: true, Parameters: true},
	}
}

func TestProgramsPassTheirCheck(t *testing.T) {
	for _, k := range Kinds() {
		chunks := map[Kind]int{Interleaved: 3, ZBV: 2, DualPipe: 2, DualPipeV: 2}[k]
		for _, blocking := range []bool{false, true} {
			if blocking && !k.AllowsBlockingSends() {
				continue
			}
			for zero := range 4 {
				for _, stages := range []int{2, 4, 6} {
					for _, fold := range []int{2, 5} {
						s := exampleSpec(k, stages, max(1, chunks), stages*fold)
						s.Zero = zero
						s.Tied = zero%2 == 0
						s.Offload = []Offload{"", OffloadNone, OffloadSwap, OffloadHost}[zero]
						s.Checkpoint = zero > 1
						s.Overlap.Sends = !blocking
						if _, err := NewProgram(s); err != nil {
							t.Errorf("%v, blocking %v, zero %d, %d stages, %d microbatches: %v", k, blocking, zero, stages, s.Micro, err)
						}
					}
				}
			}
		}
	}
}
