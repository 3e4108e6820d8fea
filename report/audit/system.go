package audit

import (
	"math"
	"slices"
)

// variable is one quantity of the system of equations.
type variable int

const (
	vParameters variable = iota
	vActive
	vDevices
	vTokens
	vSteps
	vBatch
	vStepTime
	vMFU
	vGoodput
	vDuration
	vDeviceTime
	vCost
	vPrice
	vIncidents
	vStatePer
	vPreTokens
	vShare
	vRelative
	vFLOPsPerToken
	vPreFLOPsPerToken
	vOperations
	vPreOperations
	vBudget
	vTrainShare
	vBusy
	vBusyTime
	vPeak
	vRate
	vTokenRate
	vMeanRate
	vSpeed
	vMeanSpeed
	vState
	vRoom
	vMemory
	vFill
	vWritten
	vWrittenPer
	vBandwidth
	vTraffic
	variables
)

// info describes each variable: its name in JSON and text, and its unit.
var info = [variables]struct {
	name string
	unit string
	show bool // worth listing among what a claim implies
}{
	vParameters: {"parameters", "", true}, vActive: {"active parameters", "", true}, vDevices: {"devices", "", true},
	vTokens: {"tokens", "", true}, vSteps: {"steps", "", true}, vBatch: {"tokens of a step", "", true}, vStepTime: {"step time", "s", true},
	vMFU: {"MFU", "%", true}, vGoodput: {"goodput", "%", true}, vDuration: {"duration", "s", true}, vDeviceTime: {"device-time", "device-s", true},
	vCost: {"cost", "money", true}, vPrice: {"price", "money/s", true}, vIncidents: {"incidents", "", true}, vStatePer: {"state per parameter", "B", true},
	vPreTokens: {"pre-training tokens", "", true}, vShare: {"share of pre-training", "%", true}, vRelative: {"relative performance", "%", true},
	vFLOPsPerToken: {"operations per token", "FLOP", true}, vPreFLOPsPerToken: {"pre-training operations per token", "FLOP", false},
	vOperations: {"training operations", "FLOP", true}, vPreOperations: {"pre-training operations", "FLOP", true},
	vBudget: {"post-training operations", "FLOP", true}, vTrainShare: {"share of them that trains", "%", false},
	vBusy: {"time in steps", "s", false}, vBusyTime: {"device-time in steps", "device-s", false},
	vPeak: {"peak of a device", "FLOP/s", true}, vRate: {"achieved by a device", "FLOP/s", true}, vTokenRate: {"tokens per second of a device", "/s", true},
	vMeanRate: {"tokens per second of a device, pauses included", "/s", true},
	vSpeed:    {"tokens per second", "/s", true}, vMeanSpeed: {"tokens per second, pauses included", "/s", true},
	vState: {"state", "B", true}, vRoom: {"memory of all devices", "B", true}, vMemory: {"memory of a device", "B", true}, vFill: {"memory used", "%", false},
	vWritten: {"written by an update", "B", false}, vWrittenPer: {"written per parameter", "B", false},
	vBandwidth: {"memory bandwidth of a device", "B/s", true}, vTraffic: {"memory traffic of a device in a step", "B", false},
}

// equations are products of positive quantities: a = b × c.
var equations = [...]struct{ a, b, c variable }{
	{vOperations, vTokens, vFLOPsPerToken},
	{vTokens, vSteps, vBatch},
	{vBusy, vSteps, vStepTime},
	{vBusy, vDuration, vGoodput},
	{vDeviceTime, vDevices, vDuration},
	{vBusyTime, vDevices, vBusy},
	{vBusyTime, vDeviceTime, vGoodput},
	{vRate, vPeak, vMFU},
	{vOperations, vBusyTime, vRate},
	{vTokens, vBusyTime, vTokenRate},
	{vRate, vTokenRate, vFLOPsPerToken},
	{vTokens, vDeviceTime, vMeanRate},
	{vMeanRate, vTokenRate, vGoodput},
	{vSpeed, vDevices, vTokenRate},
	{vBatch, vSpeed, vStepTime},
	{vTokens, vSpeed, vBusy},
	{vMeanSpeed, vDevices, vMeanRate},
	{vTokens, vMeanSpeed, vDuration},
	{vPreOperations, vPreTokens, vPreFLOPsPerToken},
	{vBudget, vShare, vPreOperations},
	{vOperations, vTrainShare, vBudget},
	{vCost, vDeviceTime, vPrice},
	{vState, vParameters, vStatePer},
	{vRoom, vDevices, vMemory},
	{vState, vRoom, vFill},
	{vWritten, vParameters, vWrittenPer},
	{vWritten, vDevices, vTraffic},
	{vTraffic, vBandwidth, vStepTime},
}

// A set is a set of statements: bit i is statement i.
type set uint64

func (s set) has(i int) bool { return s>>i&1 == 1 }

// A given is an interval that holds if all statements in need are true: what one
// of them says, or a fact about the model or the hardware that one of them names.
type given struct {
	of   variable
	in   Interval
	need set
	why  string
	fact bool // known independently of the claim
}

// A step derives one end of an interval from ends before it.
type step struct {
	of    variable
	upper bool
	x     float64
	why   string
	need  set
	fact  bool // some fact took part, not only what was said
	from  []*step
}

// state is what is known of every variable.
type state struct {
	ends [variables][2]*step // lower, upper; nil: 0, +Inf
}

func (s *state) get(v variable) Interval {
	i := Anything
	if e := s.ends[v][0]; e != nil {
		i.Lo = e.x
	}
	if e := s.ends[v][1]; e != nil {
		i.Hi = e.x
	}
	return i
}

// tighten narrows v and reports whether it did; from gives each end its parents.
func (s *state) tighten(v variable, to Interval, why string, need set, fact bool, from [2][]*step) bool {
	now, moved := s.get(v), false
	for k, better := range [2]bool{to.Lo > now.Lo*(1+1e-12), to.Hi < now.Hi*(1-1e-12) || math.IsInf(now.Hi, 1) && !math.IsInf(to.Hi, 1)} {
		if !better {
			continue
		}
		e := &step{of: v, upper: k == 1, x: [2]float64{to.Lo, to.Hi}[k], why: why, need: need, fact: fact}
		for _, p := range from[k] {
			if p != nil {
				e.from, e.need, e.fact = append(e.from, p), e.need|p.need, e.fact || p.fact
			}
		}
		s.ends[v][k], moved = e, true
	}
	return moved
}

// mostRounds bounds the narrowing of loops that converge slowly. Stopping early
// leaves intervals too wide, never too narrow.
const mostRounds = 40

// solve narrows everything that follows from the givens whose statements are all
// in on. It returns the variable that has no value left, or -1.
func solve(givens []given, on set) (*state, variable) {
	s := &state{}
	for _, g := range givens {
		if g.need&^on != 0 {
			continue
		}
		s.tighten(g.of, g.in, g.why, g.need, g.fact, [2][]*step{})
		if s.get(g.of).Empty() {
			return s, g.of
		}
	}
	for range mostRounds {
		moved := false
		for _, q := range equations {
			a, b, c := s.ends[q.a], s.ends[q.b], s.ends[q.c]
			product := info[q.b].name + " × " + info[q.c].name
			for _, t := range []struct {
				of   variable
				to   Interval
				why  string
				from [2][]*step
			}{
				{q.a, s.get(q.b).Mul(s.get(q.c)), product, [2][]*step{{b[0], c[0]}, {b[1], c[1]}}},
				{q.b, s.get(q.a).Div(s.get(q.c)), info[q.a].name + " / " + info[q.c].name, [2][]*step{{a[0], c[1]}, {a[1], c[0]}}},
				{q.c, s.get(q.a).Div(s.get(q.b)), info[q.a].name + " / " + info[q.b].name, [2][]*step{{a[0], b[1]}, {a[1], b[0]}}},
			} {
				if s.tighten(t.of, t.to, t.why, 0, false, t.from) {
					moved = true
				}
				if s.get(t.of).Empty() {
					return s, t.of
				}
			}
		}
		if !moved {
			break
		}
	}
	return s, -1
}

// conflict returns a smallest subset of on that contradicts itself, or 0: no
// statement can be left out of it.
func conflict(givens []given, on set) set {
	if _, v := solve(givens, on); v < 0 {
		return 0
	}
	for i := range mostStatements {
		if !on.has(i) {
			continue
		}
		if _, v := solve(givens, on&^(1<<i)); v >= 0 {
			on &^= 1 << i
		}
	}
	return on
}

// mostConflicts bounds how many contradictions are searched for.
const mostConflicts = 16

// conflicts returns smallest contradictory sets, each found by leaving out a
// member of the others, until nothing contradicts or the bound is met.
func conflicts(givens []given, all set) []set {
	var found []set
	tried := map[set]bool{}
	var look func(on set, depth int)
	look = func(on set, depth int) {
		if tried[on] || len(found) >= mostConflicts || len(tried) > 4*mostConflicts {
			return
		}
		tried[on] = true
		c := conflict(givens, on)
		if c == 0 {
			return
		}
		if !slices.Contains(found, c) {
			found = append(found, c)
		}
		for i := range mostStatements {
			if c.has(i) && depth < 3 {
				look(on&^(1<<i), depth+1)
			}
		}
	}
	look(all, 0)
	return found
}

// derivation lists the steps that lead to e, first things first.
func derivation(ends ...*step) []*step {
	var out []*step
	seen := map[*step]bool{}
	var visit func(e *step)
	visit = func(e *step) {
		if e == nil || seen[e] {
			return
		}
		seen[e] = true
		for _, p := range e.from {
			visit(p)
		}
		out = append(out, e)
	}
	for _, e := range ends {
		visit(e)
	}
	return out
}
