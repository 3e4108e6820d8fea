package campaign

import (
	"fmt"

	"github.com/temper-ml/temper/cluster/campaign/goodput"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// TrainStep is a training step that a Trainer found.
type TrainStep struct {
	Seconds float64
	Layout  string // in words, for the reader
}

// Trainer predicts the fastest step of globalBatch rows of seq tokens on a
// number of devices. Errors say why none fits.
type Trainer func(devices, seq, globalBatch int) (TrainStep, error)

// Setting is where a workload runs.
type Setting struct {
	Model   *arch.Config
	Cluster *hardware.Cluster
	Devices int
	Train   Trainer
	Muon    bool // the optimizer keeps one moment instead of two

	Policy   goodput.Policy
	Failures *goodput.Failures   // nil: the cluster's
	Check    *goodput.Checkpoint // nil: what the model's state costs on the cluster's storage
	Trials   int
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

// FailuresOf returns the failures of a cluster as its description has them.
// Without a rate of its own nothing fails: the description says so.
func FailuresOf(c *hardware.Cluster) goodput.Failures {
	f := c.Failure
	out := goodput.Failures{MTBF: f.MTBF, HangShare: f.HangShare, SilentMTBF: f.SilentCorruption, Causes: goodput.Llama3()}
	if out.SilentMTBF > 0 {
		out.SilentDetect = silentDetect
	}
	return out
}

// silentDetect is how long a silent corruption goes unseen, on average: until a
// spike of the loss is looked into. An assumption.
const silentDetect = 6 * 3600

// PolicyOf returns the named policy with the cluster's own times, where its
// description has them. What spares and process-level recovery save of a
// restart, they save here too.
func PolicyOf(name string, c *hardware.Cluster) (goodput.Policy, error) {
	p, err := goodput.PolicyNamed(name)
	if err != nil {
		return p, err
	}
	full, _ := goodput.PolicyNamed("restart")
	f := c.Failure
	if f.Detect > 0 {
		p.Detect = f.Detect
	}
	if f.HangDetect > 0 && p.Source == goodput.Storage {
		p.Timeout = f.HangDetect
	}
	if f.Restart > 0 {
		p.Restart *= f.Restart / full.Restart
	}
	return p, nil
}

// CheckpointOf returns what a checkpoint of the model costs: bf16 weights, fp32
// master weights and moments, written by all nodes at once behind the training
// after a copy to host memory; and a copy of the same over the network into
// another node's memory, every minute.
func CheckpointOf(m *arch.Config, c *hardware.Cluster, devices int, muon bool) goodput.Checkpoint {
	total, mtp, _ := m.Count()
	each := 14.0
	if muon {
		each = 10
	}
	state := float64(total+mtp) * each
	through := func(all float64) float64 {
		if c.Storage.Node > 0 {
			all = min(all, c.Storage.Node*float64(c.Nodes(devices)))
		}
		return all
	}
	out := goodput.Checkpoint{CopyInterval: 60}
	if c.Device.HostLink > 0 {
		out.Save = state / float64(devices) / c.Device.HostLink
	}
	if w := through(c.Storage.Write); w > 0 {
		out.Write = max(out.Save, state/w)
	}
	if r := through(c.Storage.Read); r > 0 {
		out.Load = state / r
	}
	out.Copy = out.Save
	last := c.Domains[len(c.Domains)-1]
	out.LoadCopy = state / float64(devices) / last.Bandwidth
	// The copy must have left for the other node before the next one starts.
	out.CopyInterval = max(out.CopyInterval, 2*out.LoadCopy)
	return out
}
