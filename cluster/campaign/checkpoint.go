package campaign

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/cluster/campaign/goodput"
)

// Checkpoint is what saving costs, and how often it is worth it. Times are
// seconds.
type Checkpoint struct {
	Bytes     float64 `json:"bytes"`            // bf16 weights, fp32 master weights and moments
	PerDevice float64 `json:"bytes_per_device"` // each writes its part
	Save      float64 `json:"save_seconds"`     // training stands still
	Write     float64 `json:"write_seconds"`    // until storage has all of it, behind the training
	Load      float64 `json:"load_seconds"`
	Copy      float64 `json:"copy_seconds"` // into another node's memory: training stands still
	LoadCopy  float64 `json:"load_copy_seconds"`

	Interval  float64 `json:"interval_seconds"` // of training, as used
	Young     float64 `json:"young_seconds"`
	Daly      float64 `json:"daly_seconds"`
	Simulated float64 `json:"best_simulated_seconds"` // of the intervals tried, the one of the shortest run
	Gain      float64 `json:"best_simulated_gain"`    // by which that shortens the run, as a share
}

// checkpoint is what saving costs in the setting.
func (s *Setting) checkpoint() goodput.Checkpoint {
	if s.Check != nil {
		return *s.Check
	}
	return CheckpointOf(s.Model, s.Cluster, s.Devices, s.Muon)
}

// Run returns the days of the workload, as cluster/campaign/goodput plays them:
// so many seconds of undisturbed work.
func (s *Setting) Run(work float64) goodput.Run {
	r := goodput.Run{Devices: s.Devices, NodeSize: max(1, s.Cluster.NodeSize), Work: work, Policy: s.Policy, Seed: s.Seed}
	r.Failures = FailuresOf(s.Cluster)
	if s.Failures != nil {
		r.Failures = *s.Failures
	}
	r.Check = s.checkpoint()
	r.Trials = s.trials(&r, work)
	return r
}

// Bounds of the number of trials, and how many events all of them may have.
const (
	mostTrials, leastTrials = 400, 24
	trialEvents             = 120e3
)

// trials is how often the run is played: fewer times when it has so many
// interruptions that their number hardly varies.
func (s *Setting) trials(r *goodput.Run, seconds float64) int {
	if s.Trials > 0 {
		return s.Trials
	}
	events := 1.0
	for _, mtbf := range []float64{r.Failures.MTBF, r.Failures.SilentMTBF, r.Failures.SlowMTBF} {
		if mtbf > 0 {
			events += seconds * float64(r.Devices) / mtbf
		}
	}
	return int(max(leastTrials, min(mostTrials, trialEvents/events)))
}

// intervals tries intervals around Daly's against the same failures. What storage
// cannot keep up with is not tried.
func (s *Setting) intervals(r goodput.Run, used *goodput.Result) (Checkpoint, error) {
	c := r.Check
	bytes := s.stateBytes()
	out := Checkpoint{
		Bytes: bytes, PerDevice: bytes / float64(s.Devices), Save: c.Save, Write: c.Write, Load: c.Load, Copy: c.Copy, LoadCopy: c.LoadCopy,
		Interval: used.Interval, Young: used.Young, Daly: used.Daly, Simulated: used.Interval,
	}
	if r.Failures.MTBF == 0 {
		return out, nil
	}
	r.Trials = min(100, max(8, used.Trials/3))
	best, now := math.Inf(1), 0.0
	for quarters := -8; quarters <= 8; quarters++ {
		r.Check.Interval = used.Interval * math.Exp2(float64(quarters)/2)
		if r.Check.Interval < c.Write {
			continue
		}
		days, err := r.Play()
		if err != nil {
			return out, fmt.Errorf("campaign: %w", err)
		}
		if quarters == 0 {
			now = days.Wall
		}
		if days.Wall < best {
			best, out.Simulated = days.Wall, r.Check.Interval
		}
	}
	if now > 0 {
		out.Gain = 1 - best/now
	}
	return out, nil
}
