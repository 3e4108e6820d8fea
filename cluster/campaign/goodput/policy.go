package goodput

import (
	"fmt"
	"math"
	"slices"
)

// Source says where the state comes from after an interruption.
type Source string

// State comes from storage, or from the copy in another node's memory, which is
// lost only with both nodes.
const (
	Storage Source = "storage"
	Memory  Source = "memory"
)

// Capacity says what takes the place of a node that needs repair.
type Capacity string

// The scheduler finds another node; a spare stands ready; or the run goes on
// with fewer replicas until the node is back.
const (
	Requeue Capacity = "requeue"
	Spares  Capacity = "spares"
	Shrink  Capacity = "shrink"
)

// Policy is what happens after an interruption. Times are seconds.
type Policy struct {
	Name        string
	Source      Source
	Capacity    Capacity
	Detect      float64 // until a crash is noticed
	Timeout     float64 // until a hang is noticed
	Restart     float64 // processes, links and compilation, without loading the state
	Requeue     float64 // until the scheduler gives another node; with spares, when none is left (0: it never does)
	Spares      int     // nodes that stand ready at first; 0: enough in 99 of 100 moments
	Repair      float64 // until a broken node is back
	ShrinkShare float64 // share of the speed that goes with one missing node
	Least       float64 // share of the speed below which a shrunk run waits instead
	Reconfigure float64 // to go on with fewer or more nodes
}

// Policies are the four ways to recover that are usually compared, with times
// as published for large runs: a job-level restart takes minutes, a process-
// level one about one minute whatever the size of the job. A crash is noticed
// by the node's heartbeat, a hang by the watchdog.
func Policies() []Policy {
	restart := Policy{
		Name: "restart", Source: Storage, Capacity: Requeue,
		Detect: 30, Timeout: 1800, Restart: 300, Requeue: 600, Repair: 24 * 3600, Least: 0.5,
	}
	memory := restart
	memory.Name, memory.Source, memory.Timeout = "memory", Memory, 360
	shrink := memory
	shrink.Name, shrink.Capacity, shrink.Restart, shrink.Reconfigure = "shrink", Shrink, 60, 60
	spares := memory
	spares.Name, spares.Capacity, spares.Restart = "spares", Spares, 60
	return []Policy{restart, memory, shrink, spares}
}

// EnoughSpares is the number of spare nodes that is exceeded by the number of
// nodes in repair in one of a hundred moments (their number is Poisson).
func (f *Failures) EnoughSpares(devices int, repair float64) int {
	if f.MTBF == 0 {
		return 0
	}
	var nodes, all float64
	for _, c := range f.causes() {
		all += c.Weight
		if c.Node {
			nodes += c.Weight
		}
	}
	mean := float64(devices) / f.MTBF * repair * nodes / all
	if mean > 500 { // the normal approximation is as good
		return int(math.Ceil(mean + float64(2.326*math.Sqrt(mean))))
	}
	term, n := math.Exp(-mean), 0
	for sum := term; sum < 0.99; n++ {
		term *= mean / float64(n+1)
		sum += term
	}
	return n
}

// PolicyNamed returns one of Policies.
func PolicyNamed(name string) (Policy, error) {
	var names []string
	for _, p := range Policies() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Policy{}, fmt.Errorf("goodput: no policy is called %q, want one of %v", name, names)
}

// Check refuses a policy that cannot be followed.
func (p *Policy) Check() error {
	if !slices.Contains([]Source{Storage, Memory}, p.Source) {
		return fmt.Errorf("goodput: policy.source is %q, want %s or %s", p.Source, Storage, Memory)
	}
	if !slices.Contains([]Capacity{Requeue, Spares, Shrink}, p.Capacity) {
		return fmt.Errorf("goodput: policy.capacity is %q, want %s, %s or %s", p.Capacity, Requeue, Spares, Shrink)
	}
	for _, x := range []struct {
		name string
		v    float64
		high float64
	}{
		{"detect", p.Detect, 1e7},
		{"timeout", p.Timeout, 1e7},
		{"restart", p.Restart, 1e7},
		{"requeue", p.Requeue, 1e7},
		{"repair", p.Repair, 1e8},
		{"reconfigure", p.Reconfigure, 1e7},
		{"shrink_share", p.ShrinkShare, 1},
		{"least", p.Least, 1},
		{"spares", float64(p.Spares), 1e6},
	} {
		if err := within("policy."+x.name, x.v, 0, x.high); err != nil {
			return err
		}
	}
	return nil
}

// Checkpoint is what saving costs. Times are seconds.
type Checkpoint struct {
	Interval float64 // of training between checkpoints to storage; 0: Daly's
	Save     float64 // training stands still
	Write    float64 // from the start of the save until storage has all of it (at least Save)
	Load     float64 // from storage

	CopyInterval float64 // of training between copies to another node's memory; 0: as Interval
	Copy         float64 // training stands still
	LoadCopy     float64

	Kept      float64 // how far back checkpoints are kept, in seconds of training; 0: a week
	Milestone float64 // every so many seconds of training one is kept for good; 0: a day
}

// Check refuses times that contradict each other.
func (c *Checkpoint) Check() error {
	for _, x := range []struct {
		name string
		v    float64
	}{
		{"interval", c.Interval},
		{"save", c.Save},
		{"write", c.Write},
		{"load", c.Load},
		{"copy_interval", c.CopyInterval},
		{"copy", c.Copy},
		{"load_copy", c.LoadCopy},
		{"kept", c.Kept},
		{"milestone", c.Milestone},
	} {
		if err := within("checkpoint."+x.name, x.v, 0, 1e9); err != nil {
			return err
		}
	}
	if c.Write != 0 && c.Write < c.Save {
		return fmt.Errorf("goodput: checkpoint.write is %v s, must be at least checkpoint.save, %v s: nearest legal value %v", c.Write, c.Save, c.Save)
	}
	if c.Interval != 0 && c.Write > c.Interval+c.Save {
		return fmt.Errorf("goodput: checkpoint.interval is %v s, but writing one takes %v s: nearest legal value %v", c.Interval, c.Write, c.Write-c.Save)
	}
	return nil
}
