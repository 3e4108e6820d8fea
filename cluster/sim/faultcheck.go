package sim

import (
	"errors"
	"fmt"
	"os"

	"github.com/temper-ml/temper/internal/config"
)

// ReadFaults reads a fault file. Unknown keys, values out of range and ranks
// that do not exist among ranks (of node to a machine) are refused with their
// line and column.
func ReadFaults(path string, ranks, node int) (*Faults, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	return DecodeFaults(src, path, ranks, node)
}

// DecodeFaults is ReadFaults for a file in memory; name is its path, for messages.
func DecodeFaults(src []byte, name string, ranks, node int) (*Faults, error) {
	f := bound{ranks: ranks, node: node}
	if err := config.Decode(src, name, &f); err != nil {
		if errors.Is(err, config.ErrEmpty) {
			return nil, fmt.Errorf("sim: %w: name at least one of slow, jitter, links, stops, routing", err)
		}
		return nil, fmt.Errorf("sim: %w", err)
	}
	return &f.Faults, nil
}

// bound is Faults that know how many ranks there are to be at fault.
type bound struct {
	Faults      `yaml:",inline"`
	ranks, node int
}

// Check is Faults.Check.
func (b *bound) Check() error { return b.Faults.Check(b.ranks, b.node) }

// Check refuses what cannot be simulated on that many ranks.
func (f *Faults) Check(ranks, node int) error {
	if f == nil {
		return nil
	}
	if err := config.Within("collective_timeout_seconds", f.CollectiveTimeoutSeconds, 0, 1e6); err != nil {
		return err
	}
	if err := config.Within("heartbeat_seconds", f.HeartbeatSeconds, 0, 1e6); err != nil {
		return err
	}
	for i := range f.Slow {
		path := fmt.Sprintf("slow[%d]", i)
		if err := f.Slow[i].check(path, ranks, node); err != nil {
			return err
		}
		if err := config.Within(path+".factor", f.Slow[i].Factor, 1, 1000); err != nil {
			return err
		}
	}
	for i := range f.Jitter {
		if err := f.Jitter[i].check(fmt.Sprintf("jitter[%d]", i), ranks, node); err != nil {
			return err
		}
	}
	for i := range f.Links {
		if err := f.Links[i].check(fmt.Sprintf("links[%d]", i), ranks, node); err != nil {
			return err
		}
	}
	for i := range f.Stops {
		if err := f.Stops[i].check(fmt.Sprintf("stops[%d]", i), ranks); err != nil {
			return err
		}
	}
	return f.Routing.check("routing")
}

func (t Target) check(path string, ranks, node int) error {
	for i, r := range t.Ranks {
		if r < 0 || r >= ranks {
			return config.Bad(fmt.Sprintf("%s.ranks[%d]", path, i), "rank %d does not exist: the ranks are 0 to %d", r, ranks-1)
		}
	}
	last := (ranks - 1) / node
	for i, n := range t.Nodes {
		if n < 0 || n > last {
			return config.Bad(fmt.Sprintf("%s.nodes[%d]", path, i), "node %d does not exist: the nodes are 0 to %d, of %d ranks each", n, last, node)
		}
	}
	return nil
}

func (j *Jitter) check(path string, ranks, node int) error {
	if err := j.Target.check(path, ranks, node); err != nil {
		return err
	}
	switch j.Distribution {
	case "normal", "lognormal":
		if j.Probability != 0 || j.Seconds != 0 {
			return config.Bad(path+".distribution", "%s takes relative_deviation only: probability and seconds belong to spikes", j.Distribution)
		}
		return config.Within(path+".relative_deviation", j.RelativeDeviation, 0, 2)
	case "spikes":
		if j.RelativeDeviation != 0 {
			return config.Bad(path+".relative_deviation", "spikes take probability and seconds: leave it out")
		}
		if err := config.Within(path+".probability", j.Probability, 0, 1); err != nil {
			return err
		}
		return config.Within(path+".seconds", j.Seconds, 0, 1e5)
	}
	return config.Bad(path+".distribution", "%q is not known: use normal, lognormal or spikes", j.Distribution)
}

func (l *Link) check(path string, ranks, node int) error {
	if err := l.Target.check(path, ranks, node); err != nil {
		return err
	}
	if l.Domain != "scale-out" && l.Domain != "all" {
		return config.Bad(path+".domain", "%q is not known: use scale-out (what leaves the node's own links) or all", l.Domain)
	}
	return config.Within(path+".factor", l.Factor, 1, 1e6)
}

func (h *Halt) check(path string, ranks int) error {
	if h.Rank < 0 || h.Rank >= ranks {
		return config.Bad(path+".rank", "rank %d does not exist: the ranks are 0 to %d", h.Rank, ranks-1)
	}
	if h.Cause != "hung" && h.Cause != "dead" {
		return config.Bad(path+".cause", "%q is not known: use hung (noticed by a timeout) or dead (noticed by a heartbeat)", h.Cause)
	}
	return config.Within(path+".at_seconds", h.AtSeconds, 0, 1e6)
}

func (r *Routing) check(path string) error {
	if r == nil {
		return nil
	}
	if (len(r.Loads) > 0) && r.Zipf != 0 {
		return config.Bad(path+".zipf", "give loads or zipf, not both")
	}
	if len(r.Loads) > 1<<12 {
		return config.Bad(path+".loads", "%d numbers: at most 4096", len(r.Loads))
	}
	sum := 0.0
	for i, x := range r.Loads {
		if err := config.Within(fmt.Sprintf("%s.loads[%d]", path, i), x, 0, 1e12); err != nil {
			return err
		}
		sum += x
	}
	if len(r.Loads) > 0 && sum == 0 {
		return config.Bad(path+".loads", "all are zero: some expert must get tokens")
	}
	if err := config.Within(path+".zipf", r.Zipf, 0, 4); err != nil {
		return err
	}
	return config.Within(path+".variation", r.Variation, 0, 10)
}
