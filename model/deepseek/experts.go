package deepseek

import "github.com/temper-ml/temper/nn"

// experts is a mixture-of-experts body that reports, once per micro-batch, how
// the tokens were routed.
type experts struct {
	*nn.MoE
	report *report
	layer  int
}

// report collects what layers tell about the current micro-batch.
type report struct {
	open    bool // set during the first forward pass only, not when recomputing
	counts  [][]int64
	balance float64
}

// Forward runs the experts and reports.
func (e experts) Forward(out, x []float32, p *nn.Pass) {
	e.MoE.Forward(out, x, p)
	if !e.report.open {
		return
	}
	rt := e.Routing()
	for i := range e.report.counts[e.layer] {
		e.report.counts[e.layer][i] = int64(rt.Count(i))
	}
	e.report.balance += e.Balance(p)
}

// reset starts a new micro-batch.
func (r *report) reset() {
	r.open, r.balance = true, 0
	for _, c := range r.counts {
		clear(c)
	}
}
