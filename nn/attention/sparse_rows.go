package attention

import (
	"github.com/temper-ml/temper/compute/kernel"
)

// sparseRows are the operands of attention, which Forward computes and
// Backward computes again from what was saved before norms and rotations.
type sparseRows struct {
	tokenRot, blockRot rotation
	qr                 []float32 // [T, R] normed
	q                  []float32 // [T, H*head dim] normed and rotated
	kv                 []float32 // [T, head dim] normed and rotated
	entries            []float32 // [E, head dim]
}

func (s *Sparse) takeRows(m memory, e extent) sparseRows {
	return sparseRows{
		tokenRot: s.c.Rope.take(m, e.tokens), blockRot: s.c.Rope.take(m, e.entries),
		qr: m.F32(e.tokens * s.c.QRank), q: m.F32(e.tokens * s.c.Heads * s.c.HeadDim),
		kv: m.F32(e.tokens * s.c.HeadDim), entries: m.F32(e.entries * s.c.HeadDim),
	}
}

// rotate looks up the rotations of tokens and entries.
func (s *Sparse) rotate(r *sparseRows, e extent) {
	s.c.Rope.tokens(r.tokenRot, e.segs)
	if s.c.Ratio != 0 {
		s.c.Rope.entries(r.blockRot, e.segs, s.c.Ratio)
	}
}

func (s *Sparse) latentQuery(r *sparseRows, e extent) {
	kernel.RMSNorm(r.qr, s.saved.qrstd, s.saved.qa, s.QNorm.Data, e.tokens, s.c.QRank, s.c.Eps)
	e.pass.See("q_norm", r.qr)
	e.pass.See("q_norm.scale", s.saved.qrstd)
}

func (s *Sparse) queries(r *sparseRows, e extent) {
	kernel.RMSNorm(r.q, s.saved.hrstd, s.saved.q, nil, e.tokens*s.c.Heads, s.c.HeadDim, s.c.Eps)
	e.pass.See("head_norm", r.q)
	e.pass.See("head_norm.scale", s.saved.hrstd)
	kernel.Rope(r.q, e.tokens, s.c.Heads, s.c.HeadDim, r.tokenRot.cos, r.tokenRot.sin, false)
	e.pass.See("q", r.q)
}

func (s *Sparse) keys(r *sparseRows, e extent) {
	kernel.RMSNorm(r.kv, s.saved.kvrstd, s.saved.kv, s.KVNorm.Data, e.tokens, s.c.HeadDim, s.c.Eps)
	e.pass.See("kv_norm", r.kv)
	e.pass.See("kv_norm.scale", s.saved.kvrstd)
	kernel.Rope(r.kv, e.tokens, 1, s.c.HeadDim, r.tokenRot.cos, r.tokenRot.sin, false)
	if s.c.FakeQuant {
		quantiseKeys(r.kv, s.c.HeadDim, s.c.HeadDim-r.tokenRot.width())
	}
	e.pass.See("kv", r.kv)
}

// operands fills in what Forward and Backward of the kernel share.
func (s *Sparse) operands(r *sparseRows, e extent) {
	dim, rows := s.c.HeadDim, e.tokens*s.c.Heads
	kv, ckv := kernel.MatOf(r.kv, e.tokens, dim), kernel.MatOf(r.entries, e.entries, dim)
	s.heads[0] = kernel.AttentionHeads{
		Q: kernel.MatOf(r.q, rows, dim), O: kernel.MatOf(s.saved.o, rows, dim),
		K: kv, V: kv, CK: ckv, CV: ckv, Sink: s.Sink.Data, LSE: s.saved.lse,
	}
}
