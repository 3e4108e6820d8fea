package campaign

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/cluster/campaign/goodput"
	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// TrainStep is a training step that a Trainer found.
type TrainStep struct {
	Seconds   float64
	Low, High float64 // 90 % interval of Seconds; 0: not known
	Forward   float64 // a forward pass alone over the same rows; 0: by its share of the operations
	Devices   int     // that train; 0: all that were asked for
	Replica   int     // devices that hold one copy of everything; 0: all of them
	BoundBy   string
	Layout    string // in words, for the reader
}

// StepOf reads a TrainStep off a prediction of the cost model.
func StepOf(s *costmodel.Step) TrainStep {
	m := s.Layout.Mesh
	out := TrainStep{
		Seconds: s.Seconds, Low: s.Low, High: s.High, Devices: s.Devices, BoundBy: s.BoundBy, Layout: s.Layout.String(),
		Replica: m.World() / max(1, min(m.DP, m.EDP())),
	}
	slowest := 0.0
	for stage := range s.Shape.Stages {
		pass := 0.0
		for _, c := range s.Chunks[stage*s.Shape.Chunks : (stage+1)*s.Shape.Chunks] {
			pass += c.Forward.Seconds()
		}
		slowest = max(slowest, pass)
	}
	// The pipeline fills in steps of one chunk.
	fill := float64(s.Shape.Stages-1) / float64(max(1, s.Shape.Chunks))
	out.Forward = (float64(s.Shape.Micro) + fill) * slowest
	return out
}

// sigma is the standard deviation of the logarithm of the step's time.
func (t *TrainStep) sigma() float64 {
	if !(t.Low > 0 && t.High > t.Low) {
		return 0
	}
	return math.Log(t.High/t.Low) / (2 * 1.6449)
}

// Trainer predicts the fastest step of globalBatch rows of seq tokens on a
// number of devices. Errors say why none fits.
type Trainer func(devices, seq, globalBatch int) (TrainStep, error)

// Setting is where a workload runs.
type Setting struct {
	Name    string // of the model, for the reader
	Model   *arch.Config
	Cluster *hardware.Cluster
	Devices int
	Train   Trainer
	Muon    bool   // the optimizer keeps one moment instead of two
	DType   string // of the weights that generate, where the workload does not say; "" is bf16

	Policy   goodput.Policy
	Failures *goodput.Failures   // nil: the cluster's
	Check    *goodput.Checkpoint // nil: what the model's state costs on the cluster's storage
	Trials   int                 // 0: 400, fewer where there are very many interruptions
	Seed     uint64
}

// check refuses a setting in which nothing can run.
func (s *Setting) check() error {
	switch {
	case s.Model == nil || s.Cluster == nil || s.Train == nil:
		return fmt.Errorf("campaign: no model, cluster or trainer")
	case s.Devices < 1 || s.Cluster.MaxDevices > 0 && s.Devices > s.Cluster.MaxDevices:
		return fmt.Errorf("campaign: devices is %d, must lie in 1..%d: nearest legal value %d", s.Devices, s.Cluster.MaxDevices, min(max(s.Devices, 1), max(1, s.Cluster.MaxDevices)))
	}
	return nil
}

// stateBytes is what a checkpoint holds: bf16 weights, fp32 master weights and
// moments.
func (s *Setting) stateBytes() float64 { return stateBytes(s.Model, s.Muon) }

func stateBytes(m *arch.Config, muon bool) float64 {
	total, mtp, _ := m.Count()
	each := 14.0
	if muon {
		each = 10
	}
	return float64(total+mtp) * each
}

// heldBytes is what training holds on each device between steps: the state and
// fp32 gradients, spread evenly.
func (s *Setting) heldBytes() float64 {
	total, mtp, _ := s.Model.Count()
	return (s.stateBytes() + float64(4*float64(total+mtp))) / float64(s.Devices)
}

// product is the rate at which the devices multiply large matrices.
func (s *Setting) product() float64 {
	d := &s.Cluster.Device
	peak, _ := d.PeakOf(d.Usual())
	return float64(s.Devices) * peak * fallback(d.Efficiency.Product, 0.7)
}

func fallback(x, otherwise float64) float64 {
	if x > 0 {
		return x
	}
	return otherwise
}
