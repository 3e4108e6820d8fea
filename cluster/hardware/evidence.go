package hardware

import (
	"maps"
	"slices"
)

// Evidence says where a number comes from and what it is worth.
type Evidence struct {
	Grade    string
	Source   string
	Conflict string  // what other sources say, if they say something else
	Low      float64 // the range that sources span; 0, 0 when there is one figure
	High     float64
}

// The grades, best first.
const (
	Measured   = "measured"    // by temper, on the hardware itself
	Official   = "official"    // read in the maker's documents, software or paper
	ThirdParty = "third-party" // read in someone else's account of the maker's figures
	Memory     = "memory"      // known from the maker's datasheet, not read again
	Derived    = "derived"     // computed from other figures; the source says how
	Uncertain  = "uncertain"   // sources disagree, or there is none: an assumption
	User       = "user"        // given in a user's own file
)

// Grades are the grades, best first.
var Grades = []string{Measured, Official, ThirdParty, Memory, Derived, Uncertain, User}

// Evidence returns what is known of the number at a field path such as
// "device.peak.bf16" or "domains.node.bandwidth".
func (c *Cluster) Evidence(path string) (Evidence, bool) {
	e, ok := c.evidence[path]
	return e, ok
}

// SetEvidence records evidence for a number, for descriptions made by programs.
func (c *Cluster) SetEvidence(path string, e Evidence) {
	if c.evidence == nil {
		c.evidence = map[string]Evidence{}
	}
	c.evidence[path] = e
}

// EvidencePaths returns the paths of all numbers with evidence, sorted.
func (c *Cluster) EvidencePaths() []string {
	return slices.Sorted(maps.Keys(c.evidence))
}

// Range returns the range that sources span for the number at path, whose
// value is v: v, v if there is but one figure.
func (c *Cluster) Range(path string, v float64) (low, high float64) {
	if e := c.evidence[path]; e.Low != 0 || e.High != 0 {
		return e.Low, e.High
	}
	return v, v
}

// Weakest returns the worst grade among the numbers at paths, and the path
// that has it: what a result computed from them can be called at best.
func (c *Cluster) Weakest(paths ...string) (grade, path string) {
	worst := -1
	for _, p := range paths {
		e, ok := c.evidence[p]
		if g := slices.Index(Grades, e.Grade); ok && g > worst {
			worst, grade, path = g, e.Grade, p
		}
	}
	return grade, path
}
