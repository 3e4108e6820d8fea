package planner_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/validation/measured"
)

// A planner is only as good as its choice: among the layouts that were measured
// for the same model, machine, devices and batch, how much slower than the best
// one is the one that the predictions would have chosen.
func TestRegretOfTheChosenLayout(t *testing.T) {
	data := os.Getenv("TEMPER_DATA")
	if data == "" {
		t.Skip("TEMPER_DATA is not set: published steps are needed to judge choices")
	}
	cases, err := measured.Load(filepath.Join(data, "validation"))
	if err != nil {
		t.Fatal(err)
	}
	type choice struct{ predicted, seconds, best float64 }
	groups := map[string]*choice{}
	sizes, order := map[string]int{}, []string(nil)
	for i := range cases {
		c := &cases[i]
		key := fmt.Sprintf("%s on %d of %s, %s, batch %d x %d, %s", c.ModelName(), c.Devices, c.Device, c.Engine, c.GlobalBatch, c.Seq, c.Format())
		s := predict(t, c)
		g, ok := groups[key]
		if !ok {
			g = &choice{s, c.Seconds, c.Seconds}
			groups[key] = g
			order = append(order, key)
		}
		sizes[key]++
		if s < g.predicted {
			g.predicted, g.seconds = s, c.Seconds
		}
		g.best = min(g.best, c.Seconds)
	}
	n, sum, worst := 0, 0.0, 0.0
	for _, key := range order {
		if sizes[key] < 2 {
			continue
		}
		g := groups[key]
		regret := g.seconds/g.best - 1
		t.Logf("%5.1f %%  of %2d layouts  %s", 100*regret, sizes[key], key)
		n, sum, worst = n+1, sum+regret, max(worst, regret)
	}
	if n == 0 {
		t.Fatal("no two measured layouts of one model, machine and batch")
	}
	t.Logf("mean regret %.2f %% of %d choices, worst %.1f %%", 100*sum/float64(n), n, 100*worst)
	if mean := sum / float64(n); mean > 0.05 {
		t.Errorf("mean regret %.2f %%, want at most 5 %%", 100*mean)
	}
}

// predict returns the predicted step of a measured case.
func predict(t *testing.T, c *measured.Case) float64 {
	t.Helper()
	m, err := c.Config()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := c.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := c.Program(cluster.Engine)
	if err != nil {
		t.Fatal(err)
	}
	model, err := costmodel.New(m, cluster, c.Devices, c.Workload(), costmodel.Options{Engine: engine, AnyMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := model.Evaluate(c.Layout())
	if err != nil {
		t.Fatalf("%s: %v", c.Position, err)
	}
	return s.Seconds
}
