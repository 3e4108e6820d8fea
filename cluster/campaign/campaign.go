package campaign

import (
	"encoding/json"
	"fmt"
)

// Result is a whole run. Seconds are of wall time.
type Result struct {
	Workload    string        `json:"workload"`
	Source      string        `json:"source"`
	Model       string        `json:"model"`
	Cluster     string        `json:"cluster"`
	Devices     int           `json:"devices"`
	Phases      []PhaseResult `json:"phases"`
	Tokens      float64       `json:"tokens"`    // trained on
	Generated   float64       `json:"generated"` // written by the model itself
	Steps       float64       `json:"steps"`
	Undisturbed float64       `json:"seconds_undisturbed"`
	Seconds     float64       `json:"seconds"`      // with failures, mean
	DeviceHours float64       `json:"device_hours"` // of Seconds, spares included
	FLOPs       float64       `json:"flops"`

	Policy        string         `json:"policy"`
	Goodput       float64        `json:"goodput"`
	ETTR          float64        `json:"ettr"`
	Interruptions Parts          `json:"interruptions"` // by cause, mean of a run
	Losses        Parts          `json:"losses_seconds"`
	Spares        int            `json:"spare_nodes"`
	Interval      float64        `json:"checkpoint_interval_seconds"`
	Checkpoint    Checkpoint     `json:"checkpoint"`
	Policies      []PolicyResult `json:"policies"` // the ways to recover, all against the same failures

	Options []Option `json:"what_would_help"` // changes to the phases, what saves most first

	Finish         Finish `json:"finish"`          // failures, and how far off the predicted step times may be
	FinishFailures Finish `json:"finish_failures"` // failures alone
	Spread         Spread `json:"spread"`

	EnergyKWh float64 `json:"energy_kwh"` // 0 when the power is not known
	Energy    Energy  `json:"energy"`
	Cost      Money   `json:"cost"` // null when the price is not known
	Currency  string  `json:"currency,omitempty"`

	// Pretraining is what the shares refer to: ShareOfPretraining is in operations;
	// ShareOfHours in device-hours of pre-training at the cluster's own rate, which
	// also shows what generation at low utilization costs. 0 when not known.
	Pretraining        Pretraining `json:"pretraining"`
	ShareOfPretraining float64     `json:"share_of_pretraining"`
	ShareOfHours       float64     `json:"share_of_pretraining_hours"`
	PretrainingHours   float64     `json:"pretraining_device_hours"`
}

// Money is an amount; 0 is not known, null in JSON.
type Money float64

// MarshalJSON prints null for what is not known.
func (m Money) MarshalJSON() ([]byte, error) {
	if m == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(float64(m))
}

// Energy is what the run draws from the wall, by how much is counted, and how
// well the weakest number behind it is known.
type Energy struct {
	Devices float64 `json:"devices_kwh"` // at their TDP
	AllIn   float64 `json:"all_in_kwh"`  // with hosts, fans and network
	Hall    float64 `json:"hall_kwh"`    // times PUE
	Grade   string  `json:"grade"`
	Weakest string  `json:"weakest"` // the field that has it
}

// longest is the longest run that is played, in seconds of undisturbed work.
const (
	year    = 365 * 86400
	longest = 100 * year
)

// Play predicts the workload in a setting.
func Play(w *Workload, s Setting) (*Result, error) {
	if err := w.Check(); err != nil {
		return nil, fmt.Errorf("campaign: %w", err)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	out := &Result{Workload: w.Name, Source: w.Source, Model: s.Name, Cluster: s.Cluster.Name, Devices: s.Devices, Pretraining: w.Pretraining}
	if out.Pretraining.Tokens == 0 {
		out.Pretraining = PretrainingOf(s.Name)
	}
	for i := range w.Phases {
		p, err := s.play(&w.Phases[i])
		if err != nil {
			return nil, err
		}
		out.Phases = append(out.Phases, *p)
		out.Tokens += p.Tokens
		out.Generated += p.Generated
		out.Steps += p.Steps
		out.Undisturbed += p.Seconds
		out.FLOPs += p.FLOPs
	}
	if out.Undisturbed > longest {
		return nil, fmt.Errorf("campaign: workload %s takes %.4g years without any failure, runs of up to %.0f years are played: give fewer tokens or steps, or more devices",
			w.Name, out.Undisturbed/year, float64(longest)/year)
	}
	if err := s.disturb(out); err != nil {
		return nil, err
	}
	s.account(out)
	out.Options = s.options(w, out)
	s.compare(out)
	return out, nil
}

// disturb plays the failures.
func (s *Setting) disturb(out *Result) error {
	replica := 0
	for i := range out.Phases {
		replica = max(replica, out.Phases[i].replica)
	}
	s.Policy = s.shrinking(s.Policy, replica)
	r := s.Run(out.Undisturbed)
	days, err := r.Play()
	if err != nil {
		return err
	}
	out.Policy, out.Spares = s.Policy.Name, days.Spares
	out.Seconds, out.Goodput, out.ETTR, out.Interval = days.Wall, days.Goodput, days.ETTR, days.Interval
	out.Interruptions, out.Losses = parts(days.Interruptions), parts(days.Losses)
	for i := range out.Phases {
		p := &out.Phases[i]
		p.Wall = p.Seconds * (out.Seconds / out.Undisturbed)
		p.DeviceHours = p.Wall / 3600 * float64(s.Devices)
	}
	out.FinishFailures = Finish(days.Finish)
	s.finish(out, days.Walls)
	if out.Checkpoint, err = s.intervals(r, days); err != nil {
		return err
	}
	out.Policies, err = s.Policies(out.Undisturbed, replica)
	return err
}

// account turns time into device-hours, energy and cost.
func (s *Setting) account(out *Result) {
	c := s.Cluster
	out.DeviceHours = s.deviceHours(out.Seconds, out.Spares)
	e := &out.Energy
	e.Devices = out.DeviceHours * c.Device.TDP / 1000
	e.AllIn = out.DeviceHours * c.Power.AllIn / 1000
	e.Hall = e.AllIn * max(1, c.Power.PUE)
	e.Grade, e.Weakest = c.Weakest("power.all_in", "power.pue")
	out.EnergyKWh = e.Hall
	out.Cost = Money(out.DeviceHours * c.Price.PerHour)
	if out.Cost > 0 {
		out.Currency = c.Price.Currency
	}
}

// deviceHours counts spares too: they are paid for.
func (s *Setting) deviceHours(seconds float64, spares int) float64 {
	return seconds / 3600 * float64(s.Devices+spares*max(1, s.Cluster.NodeSize))
}

// compare sets the run against the pre-training. Where no step of that fits on
// the devices, its hours stay unknown.
func (s *Setting) compare(out *Result) {
	if out.Pretraining.Tokens == 0 {
		return
	}
	seq := out.Pretraining.Seq
	_, each := s.flops(seq)
	out.ShareOfPretraining = out.FLOPs / (out.Pretraining.Tokens * each)
	rows := 1 << 12
	for rows > 64 && rows*seq > 1<<26 {
		rows /= 2
	}
	step, err := s.Train(s.Devices, seq, rows)
	if err != nil {
		return
	}
	out.PretrainingHours = out.Pretraining.Tokens / (float64(rows*seq) / step.Seconds) / 3600 * float64(s.Devices)
	out.ShareOfHours = out.DeviceHours / out.PretrainingHours
}
