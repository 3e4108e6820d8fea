package train

import (
	"github.com/temper-ml/temper/model/arch"
)

// balance moves the routers' selection bias after a step, by the auxiliary-loss-
// free rule of V3 (report §2.1.2): b_e ← b_e + u·sign(mean load - load_e). load
// counts routed tokens per block and expert over the whole step. Hash-routed
// layers have no bias. A step with routes that are given does not come here: the
// load is not what the bias made it then, and moving the bias would not move it.
func (t *Trainer) balance(load [][]int64) {
	if t.cfg.Router.BiasRate == 0 {
		return
	}
	rate := float32(t.cfg.Router.BiasRate)
	for _, p := range t.model.Params() {
		if p.Role != arch.GateBias || p.Layer >= len(load) || len(load[p.Layer]) == 0 {
			continue
		}
		counts := load[p.Layer]
		total := int64(0)
		for _, n := range counts {
			total += n
		}
		for e, n := range counts { // sign(total/E - n), in integers
			switch d := total - n*int64(len(counts)); {
			case d > 0:
				p.Data[e] += rate
			case d < 0:
				p.Data[e] -= rate
			}
		}
	}
}

// MaxViolation is the largest relative overload of an expert in one block,
// (max load - mean load)/mean load; 0 for a block without routed tokens.
func MaxViolation(counts []int64) float64 {
	var total, most int64
	for _, n := range counts {
		total += n
		most = max(most, n)
	}
	if total == 0 {
		return 0
	}
	mean := float64(total) / float64(len(counts))
	return (float64(most) - mean) / mean
}
