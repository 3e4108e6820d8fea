package sim

// Faults is what goes wrong in a step. The zero value, like nil, is a step in
// which nothing does. Read takes it from a YAML file:
//
//	seed: 7                          # of everything drawn below
//	collective_timeout_seconds: 360  # how long a collective waits before it gives up (default 1800)
//	heartbeat_seconds: 5             # until a dead rank is noticed by its node (default 5)
//	slow:                            # a die, or a machine, at a fraction of its speed
//	  - {ranks: [17], factor: 1.3}
//	  - {nodes: [3], factor: 2}
//	jitter:                          # every operation a little different
//	  - {distribution: lognormal, relative_deviation: 0.05}
//	  - {distribution: spikes, probability: 1e-4, seconds: 0.1, nodes: [2]}
//	links:                           # a slow link or a degraded network card
//	  - {nodes: [5], factor: 4, domain: scale-out}
//	stops:                           # a rank that answers no more
//	  - {rank: 12, at_seconds: 1.5, cause: hung}
//	routing:                         # the router's preferences instead of balance
//	  loads: [3.1, 2.2, 1.7, 1, 0.6] # relative tokens per expert, any number of them
//	  variation: 0.2                 # of one expert's load from micro-batch to micro-batch
type Faults struct {
	Seed                     uint64   `yaml:"seed"`
	CollectiveTimeoutSeconds float64  `yaml:"collective_timeout_seconds"`
	HeartbeatSeconds         float64  `yaml:"heartbeat_seconds"`
	Slow                     []Slow   `yaml:"slow"`
	Jitter                   []Jitter `yaml:"jitter"`
	Links                    []Link   `yaml:"links"`
	Stops                    []Halt   `yaml:"stops"`
	Routing                  *Routing `yaml:"routing"`
}

// Target names ranks, one by one or by machine. Empty means all.
type Target struct {
	Ranks []int `yaml:"ranks"`
	Nodes []int `yaml:"nodes"`
}

// Slow makes the compute of its target take Factor times as long.
type Slow struct {
	Target `yaml:",inline"`
	Factor float64 `yaml:"factor"`
}

// Jitter makes every compute phase of its target vary on its own:
//
//	normal     duration × (1 + RelativeDeviation × z), never below a tenth
//	lognormal  duration × exp(σz - σ²/2), of mean 1 and that relative deviation
//	spikes     with Probability, Seconds longer (a paused host)
type Jitter struct {
	Target            `yaml:",inline"`
	Distribution      string  `yaml:"distribution"`
	RelativeDeviation float64 `yaml:"relative_deviation"`
	Probability       float64 `yaml:"probability"`
	Seconds           float64 `yaml:"seconds"`
}

// Link makes the transfers of its target take Factor times as long: those that
// leave the node's own links (domain scale-out), or all of them.
type Link struct {
	Target `yaml:",inline"`
	Factor float64 `yaml:"factor"`
	Domain string  `yaml:"domain"`
}

// Halt stops Rank at a moment of the step: hung, it keeps its connections and
// is noticed only by a timeout; dead, its node sees it at the next heartbeat.
type Halt struct {
	Rank      int     `yaml:"rank"`
	AtSeconds float64 `yaml:"at_seconds"`
	Cause     string  `yaml:"cause"`
}

// Routing draws how many tokens each expert gets: experts have lasting
// preferences (Loads, or a Zipf law with exponent Zipf), dealt out to the
// experts of every layer anew, and vary around them by Variation from
// micro-batch to micro-batch.
type Routing struct {
	Loads     []float64 `yaml:"loads"`
	Zipf      float64   `yaml:"zipf"`
	Variation float64   `yaml:"variation"`
}

// The defaults of Faults.
const (
	DefaultCollectiveTimeout = 1800.0 // seconds, as collective libraries have it
	DefaultHeartbeat         = 5.0
)

func (f *Faults) timeout() Time {
	if f == nil || f.CollectiveTimeoutSeconds == 0 {
		return FromSeconds(DefaultCollectiveTimeout)
	}
	return FromSeconds(f.CollectiveTimeoutSeconds)
}

func (f *Faults) heartbeat() Time {
	if f == nil || f.HeartbeatSeconds == 0 {
		return FromSeconds(DefaultHeartbeat)
	}
	return FromSeconds(f.HeartbeatSeconds)
}

// Single is one disturbance on its own, with its name in words.
type Single struct {
	Name   string
	Faults *Faults
}

// Singles takes the disturbances apart, each with the seed and the timeouts of
// f, in the order of the file.
func (f *Faults) Singles() []Single {
	if f == nil {
		return nil
	}
	var out []Single
	add := func(name string, set func(*Faults)) {
		one := &Faults{Seed: f.Seed, CollectiveTimeoutSeconds: f.CollectiveTimeoutSeconds, HeartbeatSeconds: f.HeartbeatSeconds}
		set(one)
		out = append(out, Single{name, one})
	}
	for _, s := range f.Slow {
		add(s.words(), func(g *Faults) { g.Slow = []Slow{s} })
	}
	for i, j := range f.Jitter {
		// Its place in the list is part of what it draws; those before it do nothing.
		add(j.words(), func(g *Faults) {
			for range i {
				g.Jitter = append(g.Jitter, Jitter{Distribution: "normal"})
			}
			g.Jitter = append(g.Jitter, j)
		})
	}
	for _, l := range f.Links {
		add(l.words(), func(g *Faults) { g.Links = []Link{l} })
	}
	for _, h := range f.Stops {
		add(h.words(), func(g *Faults) { g.Stops = []Halt{h} })
	}
	if f.Routing != nil {
		add(f.Routing.words(), func(g *Faults) { g.Routing = f.Routing })
	}
	return out
}
