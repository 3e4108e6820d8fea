package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
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
	var f Faults
	d := yaml.NewDecoder(bytes.NewReader(src), yaml.Strict())
	if err := d.Decode(&f); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("sim: %s: the file is empty: name at least one of slow, jitter, links, stops, routing", name)
		}
		return nil, fmt.Errorf("sim: %s: %s", name, yaml.FormatError(err, false, true))
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("sim: %s: there is a second document: faults are one", name)
	}
	if err := f.Check(ranks, node); err != nil {
		return nil, fmt.Errorf("sim: %s%w", position(src, name, err), err)
	}
	return &f, nil
}

// fieldError is a value that breaks a rule, at a path like slow[0].factor.
type fieldError struct{ path, text string }

func (e *fieldError) Error() string { return e.path + ": " + e.text }

func bad(path, format string, args ...any) error {
	return &fieldError{path, fmt.Sprintf(format, args...)}
}

// position returns "file:line:column: " of the field that err names, or of the
// nearest one above it that the file has.
func position(src []byte, name string, err error) string {
	var field *fieldError
	file, perr := parser.ParseBytes(src, 0)
	if !errors.As(err, &field) || perr != nil {
		return name + ": "
	}
	for at := field.path; at != ""; at = at[:max(0, strings.LastIndexAny(at, ".["))] {
		path, perr := yaml.PathString("$." + at)
		if perr != nil {
			continue
		}
		if node, perr := path.FilterFile(file); perr == nil {
			p := node.GetToken().Position
			return fmt.Sprintf("%s:%d:%d: ", name, p.Line, p.Column)
		}
	}
	return name + ": "
}

// within refuses a number outside [low, high], NaN included.
func within(path string, x, low, high float64) error {
	if x >= low && x <= high {
		return nil
	}
	nearest := low
	if x > high {
		nearest = high
	}
	return bad(path, "%v is outside [%v, %v]: the nearest legal value is %v", x, low, high, nearest)
}

// Check refuses what cannot be simulated on that many ranks.
func (f *Faults) Check(ranks, node int) error {
	if f == nil {
		return nil
	}
	if err := within("collective_timeout_seconds", f.CollectiveTimeoutSeconds, 0, 1e6); err != nil {
		return err
	}
	if err := within("heartbeat_seconds", f.HeartbeatSeconds, 0, 1e6); err != nil {
		return err
	}
	for i := range f.Slow {
		path := fmt.Sprintf("slow[%d]", i)
		if err := f.Slow[i].check(path, ranks, node); err != nil {
			return err
		}
		if err := within(path+".factor", f.Slow[i].Factor, 1, 1000); err != nil {
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
			return bad(fmt.Sprintf("%s.ranks[%d]", path, i), "rank %d does not exist: the ranks are 0 to %d", r, ranks-1)
		}
	}
	last := (ranks - 1) / node
	for i, n := range t.Nodes {
		if n < 0 || n > last {
			return bad(fmt.Sprintf("%s.nodes[%d]", path, i), "node %d does not exist: the nodes are 0 to %d, of %d ranks each", n, last, node)
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
			return bad(path+".distribution", "%s takes relative_deviation only: probability and seconds belong to spikes", j.Distribution)
		}
		return within(path+".relative_deviation", j.RelativeDeviation, 0, 2)
	case "spikes":
		if j.RelativeDeviation != 0 {
			return bad(path+".relative_deviation", "spikes take probability and seconds: leave it out")
		}
		if err := within(path+".probability", j.Probability, 0, 1); err != nil {
			return err
		}
		return within(path+".seconds", j.Seconds, 0, 1e5)
	}
	return bad(path+".distribution", "%q is not known: use normal, lognormal or spikes", j.Distribution)
}

func (l *Link) check(path string, ranks, node int) error {
	if err := l.Target.check(path, ranks, node); err != nil {
		return err
	}
	if l.Domain != "scale-out" && l.Domain != "all" {
		return bad(path+".domain", "%q is not known: use scale-out (what leaves the node's own links) or all", l.Domain)
	}
	return within(path+".factor", l.Factor, 1, 1e6)
}

func (h *Halt) check(path string, ranks int) error {
	if h.Rank < 0 || h.Rank >= ranks {
		return bad(path+".rank", "rank %d does not exist: the ranks are 0 to %d", h.Rank, ranks-1)
	}
	if h.Cause != "hung" && h.Cause != "dead" {
		return bad(path+".cause", "%q is not known: use hung (noticed by a timeout) or dead (noticed by a heartbeat)", h.Cause)
	}
	return within(path+".at_seconds", h.AtSeconds, 0, 1e6)
}

func (r *Routing) check(path string) error {
	if r == nil {
		return nil
	}
	if (len(r.Loads) > 0) && r.Zipf != 0 {
		return bad(path+".zipf", "give loads or zipf, not both")
	}
	if len(r.Loads) > 1<<16 {
		return bad(path+".loads", "%d numbers: at most 65536", len(r.Loads))
	}
	sum := 0.0
	for i, x := range r.Loads {
		if err := within(fmt.Sprintf("%s.loads[%d]", path, i), x, 0, 1e12); err != nil {
			return err
		}
		sum += x
	}
	if len(r.Loads) > 0 && sum == 0 {
		return bad(path+".loads", "all are zero: some expert must get tokens")
	}
	if err := within(path+".zipf", r.Zipf, 0, 4); err != nil {
		return err
	}
	return within(path+".variation", r.Variation, 0, 10)
}
