package campaign

import (
	"fmt"
	"strings"

	"github.com/temper-ml/temper/cluster/campaign/goodput"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// Assumptions that no description of a cluster has. GREYHOUND (2025) found 16 of
// 27 jobs of 512 GPUs and more slowed down by a device or a link, 72 minutes on
// average, to 1.34 times their time: if such a job is 1,024 GPUs for a week, one
// slow-down in 190,000 device-hours.
const (
	silentDetect = 6 * 3600 // until a spike of the loss is looked into
	slowMTBF     = 190e3 * 3600
	slowFactor   = 1.34
	slowDuration = 72 * 60
)

// FailuresOf returns the failures of a cluster as its description has them.
// Without a rate of its own nothing fails.
func FailuresOf(c *hardware.Cluster) goodput.Failures {
	f := c.Failure
	out := goodput.Failures{MTBF: f.MTBF, HangShare: f.HangShare, SilentMTBF: f.SilentCorruption}
	if f.MTBF > 0 {
		out.SlowMTBF, out.SlowFactor, out.SlowDuration = slowMTBF, slowFactor, slowDuration
	}
	for _, cause := range goodput.Llama3() {
		if cause.Name == "silent data corruption" && f.SilentCorruption > 0 {
			continue // played on its own
		}
		if v := strings.ToLower(c.Device.Vendor); v != "nvidia" && v != "amd" {
			cause.Name = strings.ReplaceAll(cause.Name, "GPU", "device")
		}
		out.Causes = append(out.Causes, cause)
	}
	if out.SilentMTBF > 0 {
		out.SilentDetect = silentDetect
	}
	return out
}

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
	state := stateBytes(m, muon)
	out := goodput.Checkpoint{CopyInterval: 60}
	if c.Device.HostLink > 0 {
		out.Save = state / float64(devices) / c.Device.HostLink
	}
	if w := through(c, c.Storage.Write, devices); w > 0 {
		out.Write = max(out.Save, state/w)
	}
	if r := through(c, c.Storage.Read, devices); r > 0 {
		out.Load = state / r
	}
	out.Copy = out.Save
	last := c.Domains[len(c.Domains)-1]
	out.LoadCopy = state / float64(devices) / (last.Bandwidth * fallback(last.Efficiency, 0.7))
	// The copy must have left for the other node before the next one starts.
	out.CopyInterval = max(out.CopyInterval, 2*out.LoadCopy)
	return out
}

// through is what the nodes of so many devices reach of the storage together.
func through(c *hardware.Cluster, all float64, devices int) float64 {
	if c.Storage.Node > 0 {
		all = min(all, c.Storage.Node*float64(c.Nodes(devices)))
	}
	return all
}

// blocking is the checkpoint with which training stands still until storage has
// all of it.
func blocking(c goodput.Checkpoint) goodput.Checkpoint {
	c.Save = c.Write
	return c
}

// PolicyResult is what one way to recover makes of a run.
type PolicyResult struct {
	Name        string  `json:"name"`
	Saving      string  `json:"saving"` // blocking, asynchronous, or copies in memory beside it
	Goodput     float64 `json:"goodput"`
	ETTR        float64 `json:"ettr"`
	Seconds     float64 `json:"seconds"`
	Finish      Finish  `json:"finish"`
	Interval    float64 `json:"checkpoint_interval_seconds"`
	Spares      int     `json:"spare_nodes"`
	DeviceHours float64 `json:"device_hours"` // spares included
	Losses      Parts   `json:"losses_seconds"`
}

// Policies plays so many seconds of undisturbed work under each way to recover
// that has a name (restart, memory, shrink, spares), with the cluster's own
// times, and restart once more with checkpoints that training waits for. All meet
// the same failures. In a shrunk run one missing node takes its replica with it:
// replicas of replicaDevices devices each.
func (s *Setting) Policies(work float64, replicaDevices int) ([]PolicyResult, error) {
	names := []string{"restart"}
	for _, p := range goodput.Policies() {
		names = append(names, p.Name)
	}
	var out []PolicyResult
	for i, name := range names {
		p, err := PolicyOf(name, s.Cluster)
		if err != nil {
			return nil, err
		}
		r := s.Run(work)
		r.Policy = s.shrinking(p, replicaDevices)
		saving := "asynchronous"
		switch {
		case i == 0:
			saving, r.Check = "blocking", blocking(r.Check)
		case p.Source == goodput.Memory:
			saving = "copies in memory"
		}
		days, err := r.Play()
		if err != nil {
			return nil, fmt.Errorf("campaign: %w", err)
		}
		out = append(out, PolicyResult{
			Name: p.Name, Saving: saving, Goodput: days.Goodput, ETTR: days.ETTR, Seconds: days.Wall, Finish: Finish(days.Finish),
			Interval: days.Interval, Spares: days.Spares, DeviceHours: s.deviceHours(days.Wall, days.Spares), Losses: parts(days.Losses),
		})
	}
	return out, nil
}

// shrinking sets what one missing node takes from a shrunk run: its replica, or,
// where there is but one, half of the devices, for which there is another layout.
func (s *Setting) shrinking(p goodput.Policy, replicaDevices int) goodput.Policy {
	if p.Capacity == goodput.Shrink && p.ShrinkShare == 0 {
		p.ShrinkShare = min(0.5, float64(max(replicaDevices, s.Cluster.NodeSize))/float64(s.Devices))
	}
	return p
}

// parts turns the parts of a goodput.Result into ours.
func parts(list []goodput.Part) Parts {
	var out Parts
	for _, p := range list {
		out = append(out, Part(p))
	}
	return out
}
