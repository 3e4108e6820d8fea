package costmodel

import (
	"fmt"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/mesh"
)

// Reason explains one share of a step.
type Reason struct {
	Share
	Part  float64 // of the step
	Bound string  // what would have to be faster: compute, memory bandwidth, node links, ...
	Text  string  // why it takes so long, in words
}

// Explain says of every share of the step what bounds it and why. The seconds
// sum to Step.Seconds exactly, in order; shares of nothing are left out.
func (m *Model) Explain(s *Step) []Reason {
	var out []Reason
	for _, b := range s.Breakdown {
		if b.Seconds > 0 {
			out = append(out, Reason{b, b.Seconds / s.Seconds, m.bound(s, b.Name), m.why(s, b.Name)})
		}
	}
	return out
}

// boundBy names what takes the largest part of the step.
func (m *Model) boundBy(s *Step) string {
	sums := map[string]float64{}
	best, most := "", -1.0
	for _, b := range s.Breakdown {
		name := m.bound(s, b.Name)
		sums[name] += b.Seconds
		if sums[name] > most {
			best, most = name, sums[name]
		}
	}
	return best
}

// bounds names what each share waits for, but for messages, which wait for links.
var bounds = map[string]string{
	"products": "compute", "attention": "compute", "vector": "memory bandwidth", "launch": "host",
	"bubble": "pipeline bubble", "optimizer": "optimizer", "offload": "host link", "fixed": "host", "jitter": "stragglers",
}

// bound names what bounds a share.
func (m *Model) bound(s *Step, share string) string {
	if b, ok := bounds[share]; ok {
		return b
	}
	return m.domain(s, share) + " links: " + share
}

// domain names the innermost domain that holds the group of a share's messages.
func (m *Model) domain(s *Step, share string) string {
	ms := s.Layout.Mesh
	axis := map[string]mesh.Axis{"tp": mesh.TP, "cp": mesh.CP, "ep": mesh.EP, "pp": mesh.PP, "gradients": mesh.DPCP, "gather": mesh.DPCP}[share]
	g := ms.Group(axis, 0)
	if axis == mesh.PP {
		g.Size = min(g.Size, 2) // neighbours
	}
	return m.Cluster.Domains[m.fabric.Level(g)].Name
}

// why says in words where the time of a share goes.
func (m *Model) why(s *Step, share string) string {
	r, c := m.rates, m.Cluster
	format := operator.DType(m.Workload.DType)
	switch share {
	case "products":
		return fmt.Sprintf("large %s products reach %.0f of %.0f TFLOP/s%s", format, r.product[format]/1e12, r.peak[format]/1e12, m.limitedBy())
	case "attention":
		return fmt.Sprintf("long attention reaches %.0f TFLOP/s in the forward pass", r.attn/1e12)
	case "vector":
		return fmt.Sprintf("kernels between products move their bytes at %.2f of %.2f TB/s", r.memory/1e12, c.Device.Bandwidth/1e12)
	case "launch":
		return "gaps between kernels, and a host that falls behind"
	case "bubble":
		return fmt.Sprintf("stage %d of %d waits for others: %d micro-batches, schedule %s", s.Critical, s.Shape.Stages, s.Shape.Micro, s.Shape.Kind)
	case "optimizer":
		return "its state is read and written once per step"
	case "offload":
		return "optimizer state goes to host memory and back"
	case "fixed":
		return "once per step: the gradient's norm, the loss, the host"
	case "jitter":
		return fmt.Sprintf("the slowest of %d nodes", c.Nodes(m.Devices))
	case "gradients", "gather":
		return fmt.Sprintf("over %d ranks, %.3g s more of it beside the passes", s.Layout.Mesh.Degree(mesh.DPCP), s.Stages[s.Critical].Hidden)
	}
	return fmt.Sprintf("messages of %s over the %s links that nothing hides", share, m.domain(s, share))
}

// limitedBy says whether power is what holds products back.
func (m *Model) limitedBy() string {
	if m.rates.power > 0 && m.rates.power < 0.8 {
		return fmt.Sprintf(": power allows %.0f %% of what the unit could", 100*m.rates.power)
	}
	return ""
}
