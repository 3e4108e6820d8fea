package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/temper-ml/temper/report/record"
)

// Filler makes a Run of a record: its manifest, then its entries in order.
type Filler struct {
	run  Run
	last int // stage
}

// NewFiller begins with what the manifest says.
func NewFiller(m *record.Manifest) *Filler {
	f := &Filler{run: Run{Name: m.Run, Source: "log", Recipe: m.Recipe}}
	r := &f.run
	r.Mesh = &Mesh{int64(m.Mesh.Tensor), int64(m.Mesh.Pipeline), int64(m.Mesh.Context), int64(m.Mesh.Expert)}
	for i, h := range m.Hosts {
		name := fmt.Sprintf("host %d", i)
		r.Hardware = append(
			r.Hardware, Fact{name, h.Name}, Fact{name + ", processor", h.CPU}, Fact{name + ", cores", count(int64(h.Cores))},
			Fact{name + ", memory", unit(h.Memory, "bytes")}, Fact{name + ", features", strings.Join(h.Features, " ")},
		)
		r.Software = append(r.Software, Fact{name + ", kernel", h.Kernel})
	}
	r.Hardware = append(r.Hardware, Fact{"ranks", count(int64(m.Ranks))}, Fact{"mesh", fmt.Sprintf(
		"tensor %d, pipeline %d, context %d, expert %d, data %d", m.Mesh.Tensor, m.Mesh.Pipeline, m.Mesh.Context, m.Mesh.Expert, m.Mesh.Data,
	)})
	f.devices(m.Devices)
	for _, l := range m.Links {
		r.Interconnect = append(r.Interconnect, Fact{
			fmt.Sprintf("rank %d to rank %d", l.From, l.To), fmt.Sprintf("%.4g bytes/s, latency %.4g s, measured", l.Bandwidth, l.Latency),
		})
	}
	r.Software = append(r.Software, Fact{"temper", m.Program.Version}, Fact{"revision", m.Program.Revision}, Fact{"Go", m.Program.Go})
	for _, s := range []struct {
		kind string
		of   map[string]string
	}{{"build", m.Program.Build}, {"module", m.Program.Modules}} {
		for _, k := range slices.Sorted(maps.Keys(s.of)) {
			r.Software = append(r.Software, Fact{s.kind + " " + k, s.of[k]})
		}
	}
	r.Software = append(r.Software, Fact{"clock", m.Clock}, Fact{"tokenizer", string(m.Tokenizer)}, Fact{"signer", m.Signer})
	for _, d := range m.Data {
		r.Data = append(r.Data, File{Path: d.Path, Digest: string(d.Digest), Bytes: d.Bytes, Rows: d.Rows})
	}
	return f
}

// devices tells the measured peaks. Their sum is the run's peak where each
// device has one; of several data types the steps say which is meant.
func (f *Filler) devices(devices []record.Device) {
	sum, ranks, types := 0.0, 0, map[string]bool{}
	for i, d := range devices {
		for _, dtype := range slices.Sorted(maps.Keys(d.Peak)) {
			types[dtype] = true
			sum += float64(d.Peak[dtype] * float64(len(d.Ranks)))
			f.run.Hardware = append(f.run.Hardware, Fact{
				fmt.Sprintf("device %d, %s", i, dtype), fmt.Sprintf("%.4g FLOP/s each of %d ranks, measured", d.Peak[dtype], len(d.Ranks)),
			})
		}
		if d.Bandwidth > 0 {
			f.run.Hardware = append(f.run.Hardware, Fact{fmt.Sprintf("device %d, memory", i), fmt.Sprintf("%.4g bytes/s, measured", d.Bandwidth)})
		}
		ranks += len(d.Ranks)
	}
	if len(types) == 1 && sum > 0 {
		f.run.Peak = sum
		f.run.PeakBasis = fmt.Sprintf("%s, measured, of %d ranks", slices.Collect(maps.Keys(types))[0], ranks)
	}
}

// count is n, nothing for what is not known.
func count(n int64) string {
	if n <= 0 {
		return ""
	}
	return itoa(n)
}

func unit(n int64, name string) string {
	if n <= 0 {
		return ""
	}
	return itoa(n) + " " + name
}

// Run is what was filled in so far.
func (f *Filler) Run() *Run { return &f.run }

// Add takes the next entry. Steps that a recovery takes again do not stand:
// they and the evaluations among them leave the run, the recovery tells of them.
func (f *Filler) Add(e *record.Entry) error {
	switch b := e.Body.(type) {
	case *record.Begin:
		f.event(e, f.last, 0, fmt.Sprintf("%d parameters, %d active", b.Total, b.Active))
	case *record.Stage:
		f.stage(b)
	case *record.Step:
		f.step(e, b)
	case *record.Evaluation:
		f.evaluation(e, b)
	case *record.Checkpoint:
		f.event(e, b.Stage, b.Step, fmt.Sprintf("%s, %d bytes, took %v", b.Path, b.Bytes, time.Duration(b.Took))).Took = time.Duration(b.Took)
	case *record.Fault:
		f.event(e, b.Stage, b.Step, fmt.Sprintf("%s on rank %d: %s", b.Fault, b.Rank, b.Evidence))
	case *record.Recovery:
		return f.recovery(e, b)
	case *record.Ranks:
		f.event(e, f.last, 0, fmt.Sprintf("%d ranks from here, %d joined, %d left: %s", b.Ranks, len(b.Joined), len(b.Left), b.Reason))
	case *record.Rollout:
		f.event(e, b.Stage, b.Step, fmt.Sprintf("%d generations of %d prompts, %d tokens, mean reward %s", b.Generations, b.Prompts, b.Tokens, short(b.Reward)))
	case *record.Pause:
		f.event(e, b.Stage, b.Step, b.Reason)
	case *record.Resume:
		f.event(e, b.Stage, b.Step, "on "+b.Host.Name)
	case *record.Note:
		f.event(e, f.last, 0, b.Text)
	case *record.End:
		f.event(e, f.last, b.Steps, strings.TrimSpace(b.Status+" with weights "+string(b.Weights)+" "+b.Reason))
	case *record.Routing, *record.Times: // sums of what steps say
	default:
		return fmt.Errorf("entry %d: kind %q has no place in a report", e.Index, e.Kind)
	}
	return nil
}

func (f *Filler) event(e *record.Entry, stage int, steps int64, text string) *Event {
	f.last = stage
	f.run.Events = append(f.run.Events, Event{
		Index: e.Index, Kind: e.Kind, Time: e.Time, Stage: stage, Steps: steps, After: len(f.run.Steps), Text: text,
	})
	return &f.run.Events[len(f.run.Events)-1]
}

func (f *Filler) stage(b *record.Stage) {
	f.last = b.Stage
	if b.Stage != len(f.run.Stages) { // a stage that goes on after a resume
		return
	}
	f.run.Stages = append(f.run.Stages, Stage{b.Name, b.Method, b.Steps})
	if b.Data != "" {
		f.run.Data = append(f.run.Data, File{Path: "rows of stage " + b.Name, Digest: string(b.Data), Rows: b.Rows})
	}
}

func (f *Filler) step(e *record.Entry, b *record.Step) {
	s := Step{
		Index: e.Index, Stage: b.Stage, Number: b.Step, Time: e.Time, Examples: b.Examples, Tokens: b.Tokens, Supervised: b.Supervised,
		GradNorm: b.GradNorm, LR: b.LR, Wall: time.Duration(b.Time.Wall), Memory: b.Memory, Skipped: b.Skipped != "",
	}
	for _, name := range slices.Sorted(maps.Keys(b.Losses)) {
		s.Losses = append(s.Losses, Value{name, b.Losses[name]})
	}
	if b.Load != nil {
		s.MaxViolation = b.Load.Max
	}
	s.Split = split(&b.Time)
	f.flops(&s, b)
	f.run.Steps = append(f.run.Steps, s)
}

// split lists the parts of a step's time that took any.
func split(t *record.Split) []Part {
	var out []Part
	for _, p := range []Part{
		{"data", time.Duration(t.Data)},
		{"forward", time.Duration(t.Forward)},
		{"backward", time.Duration(t.Backward)},
		{"model", time.Duration(t.Model)},
		{"communication", time.Duration(t.Communication)},
		{"bubble", time.Duration(t.Bubble)},
		{"optimizer", time.Duration(t.Optimizer)},
		{"checkpoint", time.Duration(t.Checkpoint)},
		{"stall", time.Duration(t.Stall)},
		{"other", time.Duration(t.Other)},
	} {
		if p.Took > 0 {
			out = append(out, p)
		}
	}
	return out
}

// flops puts a step's operations under its convention. Without a peak of the
// devices, the first utilization on record tells which one it was taken of.
func (f *Filler) flops(s *Step, b *record.Step) {
	name := b.Convention
	if name == "" {
		name = "unnamed"
	}
	c := slices.IndexFunc(f.run.Conventions, func(c Convention) bool { return c.Name == name })
	if c < 0 {
		c = len(f.run.Conventions)
		f.run.Conventions = append(f.run.Conventions, Convention{name, "as the record has it"})
	}
	s.FLOPs = make([]float64, c+1)
	s.FLOPs[c] = b.FLOPs
	if f.run.Peak == 0 && b.MFU > 0 && b.FLOPs > 0 && b.Time.Wall > 0 {
		f.run.Peak = b.FLOPs / s.Wall.Seconds() / b.MFU
		f.run.PeakBasis = "that of the first utilization on record"
	}
}

func (f *Filler) evaluation(e *record.Entry, b *record.Evaluation) {
	ev := f.event(e, b.Stage, b.Step, "")
	ev.Took = time.Duration(b.Took)
	if b.HeldOut != nil {
		ev.Values = append(ev.Values, Value{"held_out_loss", b.HeldOut.Loss})
	}
	for _, name := range slices.Sorted(maps.Keys(b.Suites)) {
		if s := b.Suites[name]; s.Total > 0 {
			ev.Values = append(ev.Values, Value{name, float64(s.Right) / float64(s.Total)})
		}
	}
}

func (f *Filler) recovery(e *record.Entry, b *record.Recovery) error {
	r := &f.run
	if b.Again < 0 || b.Again > int64(len(r.Steps)) {
		return fmt.Errorf("entry %d (recovery): again: %d steps, %d are before it", e.Index, b.Again, len(r.Steps))
	}
	left := len(r.Steps) - int(b.Again)
	r.Steps = r.Steps[:left]
	r.Events = slices.DeleteFunc(r.Events, func(e Event) bool { return e.Kind == Evaluation && e.After > left })
	for i := range r.Events {
		r.Events[i].After = min(r.Events[i].After, left)
	}
	f.event(e, b.Stage, b.Step, fmt.Sprintf("%d steps are taken again: %s", b.Again, b.Cause))
	return nil
}
