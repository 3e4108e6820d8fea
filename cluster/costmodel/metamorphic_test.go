package costmodel_test

import (
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/distributed/schedule"
)

// slack is how much slower a better machine may be predicted: nothing but
// rounding where the split of layers is given, and a little where it follows the
// costs, because a split that evens out the stages is not always the fastest.
func slack(s *costmodel.Step) float64 {
	if even(s) {
		return 1e-9
	}
	return 0.02
}

// improvements make a machine better in one respect, f > 1 times.
var improvements = []struct {
	name string
	do   func(c *hardware.Cluster, f float64)
}{
	{"peak", func(c *hardware.Cluster, f float64) {
		for d := range c.Device.Peak {
			c.Device.Peak[d] *= f
		}
	}},
	{"power", func(c *hardware.Cluster, f float64) { c.Device.TDP *= f }},
	{"peak and power", func(c *hardware.Cluster, f float64) {
		c.Device.TDP *= f
		for d := range c.Device.Peak {
			c.Device.Peak[d] *= f
		}
	}},
	{"memory bandwidth", func(c *hardware.Cluster, f float64) { c.Device.Bandwidth *= f }},
	{"host link", func(c *hardware.Cluster, f float64) { c.Device.HostLink *= f }},
	{"memory", func(c *hardware.Cluster, f float64) { c.Device.Memory = int64(float64(c.Device.Memory) * f) }},
	{"latency", func(c *hardware.Cluster, f float64) {
		for i := range c.Domains {
			c.Domains[i].Latency /= f
		}
	}},
	{"innermost links", func(c *hardware.Cluster, f float64) { c.Domains[0].Bandwidth *= f }},
	{"outermost links", func(c *hardware.Cluster, f float64) { c.Domains[len(c.Domains)-1].Bandwidth *= f }},
	{"all links", func(c *hardware.Cluster, f float64) {
		for i := range c.Domains {
			c.Domains[i].Bandwidth *= f
		}
	}},
}

func TestBetterMachinesAreNeverSlower(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := anyGround(t)
		x := improvements[rapid.IntRange(0, len(improvements)-1).Draw(t, "improvement")]
		f := 1 + float64(rapid.IntRange(1, 300).Draw(t, "percent"))/100
		before := g.step(t)
		c := loadCluster(t, g.cluster)
		x.do(c, f)
		_, after := g.on(t, c)
		if after.Seconds > before.Seconds*(1+slack(before)) {
			t.Fatalf("%s on %s, %s: %.2f times the %s makes the step slower: %.6f s after %.6f s", g.model, g.cluster, g.layout, f, x.name, after.Seconds, before.Seconds)
		}
	})
}

// Bandwidth and peak matter at all: a machine better in every respect is faster
// by no more than that.
func TestMachinesTwiceAsGoodAreAtMostTwiceAsFast(t *testing.T) {
	for _, g := range grounds {
		before := g.step(t)
		c := loadCluster(t, g.cluster)
		for _, x := range improvements {
			if x.name == "peak" || x.name == "power" || strings.HasPrefix(x.name, "innermost") || strings.HasPrefix(x.name, "outermost") {
				continue // is in another
			}
			x.do(c, 2)
		}
		_, after := g.on(t, c)
		if r := before.Seconds / after.Seconds; r > 2+1e-9 || r < 1.2 {
			t.Errorf("%s on %s, %s: everything twice as good is %.3f times as fast, want 1.2 to 2", g.model, g.cluster, g.layout, r)
		}
	}
}

func TestMoreMemoryMakesNothingIllegal(t *testing.T) {
	for _, g := range grounds {
		c := loadCluster(t, g.cluster)
		worst := fullest(g.step(t)).Total
		l, err := costmodel.ParseLayout(g.layout, g.devices)
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			memory int64
			fits   bool
		}{{worst - 1, false}, {worst, true}, {2 * worst, true}, {1 << 50, true}} {
			c.Device.Memory = tc.memory
			_, err := g.bare(t, c, false).Evaluate(l)
			if tc.fits && err != nil || !tc.fits && rejection(err) != "memory" {
				t.Errorf("%s on %s, %s with %d bytes where %d are needed: %v", g.model, g.cluster, g.layout, tc.memory, worst, err)
			}
		}
	}
}

func TestHostMemoryIsARuleOfItsOwn(t *testing.T) {
	g := grounds[12] // offloads its optimizer
	c := loadCluster(t, g.cluster)
	need := fullest(g.step(t)).Host
	l, err := costmodel.ParseLayout(g.layout, g.devices)
	if err != nil || need == 0 {
		t.Fatalf("%v, or nothing is offloaded: %d bytes", err, need)
	}
	for _, tc := range []struct {
		host int64
		link float64
		want string
	}{{need / 2, 1e9, "host memory"}, {0, 1e9, ""}, {2 * need, 1e9, ""}, {2 * need, 0, "offload"}} {
		c.Device.HostMemory, c.Device.HostLink = tc.host, tc.link
		if _, err := g.bare(t, c, false).Evaluate(l); rejection(err) != tc.want || err == nil && tc.want != "" {
			t.Errorf("host memory %d and link %g where %d bytes are needed: %v, want rule %q", tc.host, tc.link, need, err, tc.want)
		}
	}
}

func TestTwiceTheBatchTakesAtMostTwiceAsLong(t *testing.T) {
	for _, g := range grounds {
		once := g.step(t)
		g.work.GlobalBatch *= 2
		twice := g.step(t)
		if r := twice.Seconds / once.Seconds; r < 1 || r > 2+1e-9 {
			t.Errorf("%s on %s, %s: twice the batch takes %.4f times as long", g.model, g.cluster, g.layout, r)
		}
		if fullest(twice).Total < fullest(once).Total {
			t.Errorf("%s on %s, %s: twice the batch needs less memory", g.model, g.cluster, g.layout)
		}
	}
}

func TestTokensPerDeviceDoNotRiseWithDevices(t *testing.T) {
	for _, g := range grounds {
		if strings.Contains(g.layout, "dualpipe") {
			g.work.GlobalBatch *= 2 // the fewer microbatches must be legal, too
		}
		few := g.step(t)
		g.devices *= 2
		l, _ := costmodel.ParseLayout(g.layout, g.devices)
		m := g.bare(t, loadCluster(t, g.cluster), true)
		many, err := m.Evaluate(l)
		if err != nil {
			continue // the batch does not divide any further
		}
		if each, before := 1/(many.Seconds*2), 1/few.Seconds; each > before*(1+1e-9) {
			t.Errorf("%s on %s, %s: twice the devices raise tokens/s per device from %.4g to %.4g", g.model, g.cluster, g.layout, before, each)
		}
		if fullest(many).Total > fullest(few).Total {
			t.Errorf("%s on %s, %s: twice the replicas need more memory", g.model, g.cluster, g.layout)
		}
	}
}

func TestNaturalRoutingIsNeverFaster(t *testing.T) {
	for _, g := range grounds {
		m := loadModel(t, g.model)
		g.work.Routing = "balanced"
		balanced := g.step(t)
		g.work.Routing = "natural"
		natural := g.step(t)
		switch {
		case m.Experts == 0 && natural.Seconds != balanced.Seconds:
			t.Errorf("%s has no experts, but routing changes its step", g.model)
		case m.Experts > 0 && (natural.Seconds <= balanced.Seconds || fullest(natural).Total < fullest(balanced).Total):
			t.Errorf("%s on %s, %s: natural routing takes %.4f s and %d bytes, balanced %.4f s and %d", g.model, g.cluster, g.layout,
				natural.Seconds, fullest(natural).Total, balanced.Seconds, fullest(balanced).Total)
		}
		last := balanced.Seconds
		for _, rho := range []float64{1.1, 1.3, 2, 4} {
			g.work.Imbalance = rho
			if s := g.step(t).Seconds; s < last {
				t.Errorf("%s on %s, %s: imbalance %v is faster than a smaller one", g.model, g.cluster, g.layout, rho)
			} else {
				last = s
			}
		}
	}
}

func TestSharesSumAndIntervalsHoldThePoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := anyGround(t)
		s := g.step(t)
		sum := 0.0
		for _, b := range s.Breakdown {
			if !(b.Seconds >= 0) || math.IsInf(b.Seconds, 0) {
				t.Fatalf("share %s is %v", b.Name, b.Seconds)
			}
			sum += b.Seconds
		}
		if sum != s.Seconds {
			t.Fatalf("shares sum to %v, the step takes %v", sum, s.Seconds)
		}
		if !(0 < s.Low && s.Low < s.Seconds && s.Seconds < s.High && s.High < 10*s.Seconds) {
			t.Fatalf("interval %v..%v does not hold %v", s.Low, s.High, s.Seconds)
		}
		if s.Seconds < s.Timeline.Makespan {
			t.Fatalf("the step takes %v, its passes alone %v", s.Seconds, s.Timeline.Makespan)
		}
	})
}

var public = cmpopts.IgnoreUnexported(schedule.Timeline{})

// The same question has the same answer: asked again, of another model, after
// other questions, from many threads, and with the keys in another order.
func TestAnswersDependOnNothingElse(t *testing.T) {
	for _, g := range grounds {
		c := loadCluster(t, g.cluster)
		m, first := g.on(t, c)
		again, err := m.Evaluate(first.Layout)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(first, again, public); d != "" {
			t.Errorf("%s, %s: asked again: %s", g.model, g.layout, d)
		}
		for _, other := range []string{"recompute=full", "recompute=none", "mbs=2", "zero=0"} {
			if l, err := costmodel.ParseLayout(other, g.devices); err == nil {
				_, _ = m.Evaluate(l)
			}
		}
		keys := strings.Split(first.Layout.String(), ",")
		for i := range len(keys) / 2 {
			keys[i], keys[len(keys)-1-i] = keys[len(keys)-1-i], keys[i]
		}
		_, late := g.with(strings.Join(keys, ",")).on(t, c)
		if d := cmp.Diff(first, late, public); d != "" {
			t.Errorf("%s, %s: keys in another order: %s", g.model, g.layout, d)
		}
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				s, err := m.Evaluate(first.Layout)
				if err != nil || s.Seconds != first.Seconds || s.Memory[0].Total != first.Memory[0].Total {
					t.Errorf("%s, %s: another thread got %v, %v", g.model, g.layout, s, err)
				}
			})
		}
		wait.Wait()
	}
}
