package campaign

import (
	"fmt"

	"github.com/temper-ml/temper/cluster/campaign/goodput"
)

// Result is a whole run. Seconds are of wall time.
type Result struct {
	Workload    string        `json:"workload"`
	Phases      []PhaseResult `json:"phases"`
	Tokens      float64       `json:"tokens"`
	Generated   float64       `json:"generated"`
	Steps       float64       `json:"steps"`
	Undisturbed float64       `json:"undisturbed_seconds"`
	Seconds     float64       `json:"seconds"` // mean
	DeviceHours float64       `json:"device_hours"`
	FLOPs       float64       `json:"flops"`

	Goodput       float64 `json:"goodput"`
	ETTR          float64 `json:"ettr"`
	Interruptions []Part  `json:"interruptions"` // by cause, mean of a run
	Losses        []Part  `json:"losses_seconds"`
	Interval      float64 `json:"checkpoint_interval_seconds"`
	Finish        Finish  `json:"finish"`

	EnergyKWh float64 `json:"energy_kwh"`         // 0 when the power is not known
	Cost      float64 `json:"cost"`               // 0 when the price is not known
	Currency  string  `json:"currency,omitempty"` // of Cost

	// ShareOfPretraining is in operations; ShareOfHours in device-hours of
	// pre-training at the cluster's own rate, which also shows what generation
	// at low utilization costs. 0 when the pre-training is not known.
	ShareOfPretraining float64 `json:"share_of_pretraining"`
	ShareOfHours       float64 `json:"share_of_pretraining_hours"`
	PretrainingHours   float64 `json:"pretraining_device_hours"`
}

// Finish is when the run is over, in seconds after its start: one in ten runs
// is over at P10, nine in ten at P90.
type Finish struct {
	P10 float64 `json:"p10"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
}

// Play predicts the workload in a setting.
func Play(w *Workload, s Setting) (*Result, error) {
	if err := w.Check(); err != nil {
		return nil, fmt.Errorf("campaign: %w", err)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	out := &Result{Workload: w.Name}
	for i := range w.Phases {
		p, err := s.play(&w.Phases[i])
		if err != nil {
			return nil, err
		}
		out.Phases = append(out.Phases, *p)
		out.Tokens += p.Tokens
		out.Generated += p.Written
		out.Steps += p.Steps
		out.Undisturbed += p.Seconds
		out.FLOPs += p.FLOPs
	}
	if err := s.disturb(out); err != nil {
		return nil, err
	}
	return out, s.account(w, out)
}

// Run returns the days of the workload, as cluster/campaign/goodput plays them:
// so many seconds of undisturbed work.
func (s *Setting) Run(work float64) goodput.Run {
	r := goodput.Run{Devices: s.Devices, NodeSize: max(1, s.Cluster.NodeSize), Work: work, Policy: s.Policy, Trials: s.Trials, Seed: s.Seed}
	r.Failures = FailuresOf(s.Cluster)
	if s.Failures != nil {
		r.Failures = *s.Failures
	}
	r.Check = CheckpointOf(s.Model, s.Cluster, s.Devices, s.Muon)
	if s.Check != nil {
		r.Check = *s.Check
	}
	return r
}

// disturb plays the failures.
func (s *Setting) disturb(out *Result) error {
	r := s.Run(out.Undisturbed)
	days, err := r.Play()
	if err != nil {
		return err
	}
	out.Seconds, out.Goodput, out.ETTR, out.Interval = days.Wall, days.Goodput, days.ETTR, days.Interval
	out.Finish = Finish(days.Finish)
	for _, p := range days.Interruptions {
		out.Interruptions = append(out.Interruptions, Part(p))
	}
	for _, p := range days.Losses {
		out.Losses = append(out.Losses, Part(p))
	}
	return nil
}

// account turns time into device-hours, energy, cost and shares.
func (s *Setting) account(w *Workload, out *Result) error {
	out.DeviceHours = out.Seconds / 3600 * float64(s.Devices)
	if c := s.Cluster; c.Power.AllIn > 0 {
		pue := max(1, c.Power.PUE)
		out.EnergyKWh = out.DeviceHours * c.Power.AllIn * pue / 1000
	}
	out.Cost = out.DeviceHours * s.Cluster.Price.PerHour
	if out.Cost > 0 {
		out.Currency = s.Cluster.Price.Currency
	}
	if w.Pretraining.Tokens == 0 {
		return nil
	}
	seq := w.Pretraining.Seq
	_, each := s.flops(seq)
	out.ShareOfPretraining = out.FLOPs / (w.Pretraining.Tokens * each)
	rows := 1 << 12
	for rows > 64 && rows*seq > 1<<26 {
		rows /= 2
	}
	step, err := s.Train(s.Devices, seq, rows)
	if err != nil {
		return fmt.Errorf("campaign: pre-training, for comparison: %w", err)
	}
	out.PretrainingHours = w.Pretraining.Tokens / (float64(rows*seq) / step.Seconds) / 3600 * float64(s.Devices)
	out.ShareOfHours = out.DeviceHours / out.PretrainingHours
	return nil
}
