package main

import (
	"github.com/temper-ml/temper/cluster/campaign"
	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/sim"
)

// simulated is the answer of simulate as --json prints it. Times are seconds.
type simulated struct {
	StepSeconds  float64        `json:"step_seconds"` // as disturbed
	Undisturbed  float64        `json:"undisturbed_seconds"`
	Predicted    float64        `json:"predicted_seconds"` // by plan
	Ranks        int            `json:"ranks"`
	Stages       []stageSeconds `json:"stages"`
	CriticalPath *pathSeconds   `json:"critical_path,omitempty"`
	Disturbances []disturbance  `json:"disturbances,omitempty"`
	Culprits     []culprit      `json:"culprits,omitempty"`
	Stopped      *stopped       `json:"stopped,omitempty"`
	*campaign.DaysResult
}

// stageSeconds is the mean over the ranks of a stage; the four sum to step_seconds.
type stageSeconds struct {
	Stage         int     `json:"stage"`
	Compute       float64 `json:"compute"`
	Communication float64 `json:"communication"`
	Bubble        float64 `json:"bubble"`
	Stall         float64 `json:"stall"`
}

type namedSeconds struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

type pathSeconds struct {
	Instructions int            `json:"instructions"`
	Parts        []namedSeconds `json:"parts"`
	Ranks        []namedSeconds `json:"ranks"`
}

type disturbance struct {
	Name    string  `json:"name"`
	Extra   float64 `json:"extra_seconds"`
	Stopped bool    `json:"stopped"`
}

type culprit struct {
	Rank   int     `json:"rank"`
	Node   int     `json:"node"`
	Stage  int     `json:"stage"`
	Waited float64 `json:"waited_seconds"` // by all others together
	Times  int     `json:"times"`
}

type stopped struct {
	Rank     int     `json:"rank"`
	Node     int     `json:"node"`
	Cause    string  `json:"cause"`
	At       float64 `json:"at_seconds"`
	Detected float64 `json:"detected_seconds"`
	By       int     `json:"detected_by"`
	Blocked  int     `json:"blocked_ranks"`
}

// newSimulated gathers the answer; days may be nil.
func newSimulated(step *costmodel.Step, c *sim.Comparison, days *campaign.DaysResult) *simulated {
	run := c.Disturbed
	out := &simulated{
		StepSeconds: run.Wall.Seconds(), Undisturbed: c.Plain.Wall.Seconds(), Predicted: step.Seconds, Ranks: run.Program.Ranks,
		CriticalPath: newPath(run), DaysResult: days,
	}
	for _, s := range run.Stages() {
		out.Stages = append(out.Stages, stageSeconds{s.Stage, s.Compute, s.Communication, s.Bubble, s.Stall})
	}
	for _, x := range c.Costs {
		out.Disturbances = append(out.Disturbances, disturbance{x.Name, x.Extra.Seconds(), x.Stopped != nil})
	}
	for _, x := range run.Culprits {
		out.Culprits = append(out.Culprits, culprit{x.Rank, x.Rank / run.Program.Node, run.Program.Stage(x.Rank), x.Total.Seconds(), x.Times})
	}
	if s := run.Stopped; s != nil {
		out.Stopped = &stopped{s.Rank, s.Node, s.Cause, s.At.Seconds(), s.Detected.Seconds(), s.DetectedBy, s.Blocked}
	}
	return out
}

func newPath(run *sim.Run) *pathSeconds {
	p := run.CriticalPath()
	if p == nil {
		return nil
	}
	out := &pathSeconds{Instructions: len(p.Segments)}
	for _, s := range p.Parts {
		out.Parts = append(out.Parts, namedSeconds{s.Name, s.Time.Seconds()})
	}
	for _, s := range p.Ranks {
		out.Ranks = append(out.Ranks, namedSeconds{s.Name, s.Time.Seconds()})
	}
	return out
}
