package memory

// Moment is a point of a training step where memory may be at its worst.
type Moment uint8

// The moments, in the order of a step.
const (
	Start             Moment = iota // weights, gradients and optimizer state lie there, nothing runs
	WarmUp                          // the first forward pass has ended
	HeadBackward                    // logits and their gradients are alive
	MTPBackward                     // the same for an MTP depth
	BlockBackward                   // a block's backward pass is at its widest
	EmbeddingGradient               // the gradient of the input embedding is formed whole
	OptimizerStep                   // no activations are left
	moments           = iota
)

// String returns a phrase for the moment.
func (m Moment) String() string {
	names := [moments]string{
		"weights, gradients and optimizer state", "warm-up: end of the first forward", "backward of head", "backward of MTP",
		"steady state: backward of block", "gradient of embedding", "optimizer step",
	}
	if m < moments {
		return names[m]
	}
	return "unknown"
}

// usage is what is alive at a moment beyond the state.
type usage struct {
	activations, buffers, workspace int64
	present                         bool // the stage has this moment
}

func (u usage) total() int64 { return u.activations + u.buffers + u.workspace }

// at returns what a moment holds. live is what the activations in flight take at
// the worst moment, first what the first chunk's share of one micro-batch is.
func (r *Rules) at(m Moment, t *Contents, live, first int64) usage {
	u := usage{activations: live, buffers: r.steady(t), workspace: t.Passing[m], present: true}
	switch m {
	case Start:
		u.activations = 0
		return u
	case OptimizerStep:
		u.activations, u.workspace = 0, r.optimizerWorkspace(t)
		return u
	case WarmUp:
		u.activations = min(first, live)
	case HeadBackward:
		u.present = t.Head
		u.buffers += r.tableGradient(t)
	case MTPBackward:
		u.present = t.MTP > 0
		u.buffers += r.tableGradient(t)
	case BlockBackward:
		u.present = t.Largest > 0
		u.buffers += r.blockGradient(t)
	case EmbeddingGradient:
		u.present = t.Embedding
		u.activations = max(0, live-first)
	}
	u.buffers += r.gathered(t)
	return u
}

// Worst returns the most that the allocator has handed out at any moment of a
// step, and when. It allocates nothing itself.
func (r *Rules) Worst(t *Contents, live, first int64) (int64, Moment) {
	var worst int64
	when := Start
	for m := Start; m < moments; m++ {
		if u := r.at(m, t, live, first); u.present && u.total() > worst {
			worst, when = u.total(), m
		}
	}
	st := r.state(t)
	return worst + st.weights + st.gradients + st.optimizer, when
}

// Totals turns allocated bytes into what the allocator reserves for them, and
// what the device holds in all.
func (r *Rules) Totals(allocated int64) (reserved, total int64) {
	reserved = int64(float64(allocated) * r.Engine.Fragmentation)
	return reserved, reserved + r.Engine.Runtime
}
