package campaign

import (
	"fmt"

	"github.com/temper-ml/temper/cluster/campaign/goodput"
)

// PolicyResult is what one way to recover makes of a run.
type PolicyResult struct {
	Name        string  `json:"name"`
	Goodput     float64 `json:"goodput"`
	ETTR        float64 `json:"ettr"`
	Seconds     float64 `json:"seconds"`
	Finish      Finish  `json:"finish"`
	Spares      int     `json:"spare_nodes"`
	DeviceHours float64 `json:"device_hours"` // spares included
	Losses      []Part  `json:"losses_seconds"`
}

// Policies plays so many seconds of undisturbed work under each way to recover
// that has a name (restart, memory, shrink, spares), with the cluster's own
// times. All meet the same failures. In a shrunk run one missing node takes its
// replica with it: replicas of replicaDevices devices each.
func (s *Setting) Policies(work float64, replicaDevices int) ([]PolicyResult, error) {
	var out []PolicyResult
	for _, named := range goodput.Policies() {
		p, err := PolicyOf(named.Name, s.Cluster)
		if err != nil {
			return nil, err
		}
		if p.Capacity == goodput.Shrink {
			p.ShrinkShare = min(1, float64(max(replicaDevices, s.Cluster.NodeSize))/float64(s.Devices))
		}
		r := s.Run(work)
		r.Policy = p
		days, err := r.Play()
		if err != nil {
			return nil, fmt.Errorf("campaign: %w", err)
		}
		one := PolicyResult{Name: p.Name, Goodput: days.Goodput, ETTR: days.ETTR, Seconds: days.Wall, Finish: Finish(days.Finish), Spares: days.Spares}
		one.DeviceHours = days.Wall / 3600 * float64(s.Devices+days.Spares*max(1, s.Cluster.NodeSize))
		for _, l := range days.Losses {
			one.Losses = append(one.Losses, Part(l))
		}
		out = append(out, one)
	}
	return out, nil
}
