package campaign

import (
	"fmt"

	"github.com/temper-ml/temper/cluster/campaign/goodput"
)

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
