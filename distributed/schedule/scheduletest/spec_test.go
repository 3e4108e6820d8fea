package scheduletest

import (
	"pgregory.net/rapid"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// drawSpec draws the spec of a small program: any schedule, any mesh of at most
// 24 ranks, any split, and all choices of sharding and overlap.
func drawSpec(t *rapid.T) schedule.Spec {
	s := schedule.Spec{Kind: rapid.SampledFrom(schedule.Kinds()).Draw(t, "kind"), Chunks: 1}
	s.Mesh.PP = rapid.IntRange(1, 4).Draw(t, "pp")
	s.Micro = rapid.IntRange(1, 4).Draw(t, "micro")
	switch s.Kind {
	case schedule.Interleaved:
		s.Mesh.PP = max(2, s.Mesh.PP)
		s.Chunks, s.Micro = rapid.IntRange(2, 3).Draw(t, "chunks"), s.Micro+s.Mesh.PP-1
	case schedule.ZBV:
		s.Mesh.PP, s.Chunks = max(2, s.Mesh.PP), 2
	case schedule.DualPipe, schedule.DualPipeV:
		s.Mesh.PP, s.Chunks = 2*rapid.IntRange(1, 2).Draw(t, "arms"), 2
		s.Micro = 2*s.Mesh.PP + 2*rapid.IntRange(0, 1).Draw(t, "more")
	}
	drawMesh(t, &s)
	s.Split = drawSplit(t, &s)
	for range s.Split.Blocks() {
		s.Experts = append(s.Experts, rapid.Bool().Draw(t, "experts"))
	}
	if !s.Sequence && s.Mesh.TP > 1 && s.Mesh.ETP != s.Mesh.TP {
		s.Experts = nil
	}
	s.Zero = rapid.IntRange(0, 3).Draw(t, "zero")
	s.Recompute = rapid.SampledFrom([]schedule.Recompute{"", schedule.RecomputeSelective, schedule.RecomputeFull}).Draw(t, "recompute")
	s.Offload = rapid.SampledFrom([]schedule.Offload{"", schedule.OffloadSwap, schedule.OffloadHost}).Draw(t, "offload")
	s.Tied = rapid.Bool().Draw(t, "tied")
	s.Checkpoint = rapid.Bool().Draw(t, "checkpoint")
	s.Overlap = schedule.Overlap{
		Sends:     !s.Kind.AllowsBlockingSends() || rapid.Bool().Draw(t, "overlap sends"),
		Gradients: rapid.Bool().Draw(t, "overlap gradients"), Parameters: rapid.Bool().Draw(t, "overlap parameters"),
	}
	return s
}

// drawMesh draws the other degrees.
func drawMesh(t *rapid.T, s *schedule.Spec) {
	m := &s.Mesh
	m.TP = rapid.SampledFrom([]int{1, 1, 2, 4}).Draw(t, "tp")
	m.CP = rapid.SampledFrom([]int{1, 2}).Draw(t, "cp")
	m.DP = rapid.IntRange(1, 3).Draw(t, "dp")
	if m.TP*m.CP*m.DP*m.PP > 24 {
		m.CP, m.DP = 1, 1
	}
	s.Sequence = m.TP > 1 && rapid.Bool().Draw(t, "sequence")
	var etps, eps []int
	for _, d := range []int{1, 2, 4} {
		if m.Block()%d == 0 && (s.Sequence || m.TP == 1 || d == m.TP) {
			etps = append(etps, d)
		}
	}
	m.ETP = rapid.SampledFrom(etps).Draw(t, "etp")
	for _, d := range []int{1, 2, 4, 8} {
		if m.Block()/m.ETP%d == 0 {
			eps = append(eps, d)
		}
	}
	m.EP = rapid.SampledFrom(eps).Draw(t, "ep")
}

// drawSplit cuts some blocks, MTP modules and a head unevenly.
func drawSplit(t *rapid.T, s *schedule.Spec) schedule.Split {
	shape := s.Shape()
	parts := make([]schedule.Part, shape.Positions())
	next, last := 0, 0
	for q := range parts {
		n := rapid.IntRange(0, 2).Draw(t, "blocks")
		if q == len(parts)-1 && next == 0 {
			n = 1
		}
		parts[q].First, parts[q].Blocks = next, n
		if next += n; n > 0 {
			last = q
		}
	}
	parts[0].Embedding = true
	if s.Kind == schedule.DualPipe {
		last = len(parts) - 1
	}
	head := rapid.IntRange(last, len(parts)-1).Draw(t, "head")
	parts[head].Head = true
	for range rapid.IntRange(0, 2).Draw(t, "mtp") {
		last = rapid.IntRange(last, head).Draw(t, "mtp part")
		parts[last].MTP++
	}
	return schedule.Split{Parts: parts}
}

// spec is a mixture of experts with an MTP module that shares its embedding, on
// 16 ranks that use every axis.
func spec(k schedule.Kind) schedule.Spec {
	s := schedule.Spec{
		Kind: k, Mesh: mesh.Mesh{TP: 2, CP: 2, DP: 2, PP: 2, EP: 4, ETP: 1}, Chunks: 1, Micro: 4,
		Sequence: true, Tied: true, Zero: 1, Recompute: schedule.RecomputeSelective,
		Overlap: schedule.Overlap{Sends: true, Gradients: true, Parameters: true},
	}
	layout := "Ett|ttmL"
	switch k {
	case schedule.Interleaved, schedule.ZBV, schedule.DualPipeV:
		s.Chunks, layout = 2, "Et|t|t|tmL"
	case schedule.DualPipe:
		s.Chunks = 2
	}
	s.Split, _ = schedule.ParseSplit(layout)
	s.Experts = []bool{false, true, true, true}
	return s
}
