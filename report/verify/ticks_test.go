package verify

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
)

// clockOf runs the check over steps with these wall times, whose entries are
// that much apart; other entries stand before steps as given.
func clockOf(wall, apart func(i int64) int64, steps int64, before map[int64]record.Body) Check {
	var fs findings
	f, t, now := fs.add("clock"), &ticks{}, int64(1000)
	t.entry(f, record.NewEntry(1, now, &record.Stage{}))
	index := int64(2)
	for i := range steps {
		if b := before[i]; b != nil {
			t.entry(f, record.NewEntry(index, now, b))
			index++
		}
		now += apart(i)
		t.entry(f, record.NewEntry(index, now, &record.Step{Step: i, Time: record.Split{Wall: wall(i) * millisecond}}))
		index++
	}
	t.settle(f)
	return fs.checks()[0]
}

func TestClock(t *testing.T) {
	always := func(n int64) func(int64) int64 { return func(int64) int64 { return n } }
	asleep := func(i int64) int64 {
		if i == 50 {
			return 8 * 3600_000
		}
		return 1000
	}
	slow := func(i int64) int64 { // one step in ten is followed by something else
		if i%10 == 9 {
			return 3000
		}
		return 1000
	}
	back := map[int64]record.Body{20: &record.Note{Text: "the clock went back by 3000 ms"}}
	stands := func(i int64) int64 {
		if i >= 20 && i < 23 {
			return 0
		}
		return 1000
	}
	for name, c := range map[string]struct {
		got  Check
		want Verdict
		says string
	}{
		"exact":             {clockOf(always(1000), always(1000), 100, nil), Pass, "100.0 %"},
		"rounded":           {clockOf(always(1004), always(1000), 100, nil), Pass, ""},
		"busy":              {clockOf(always(1000), always(1300), 100, nil), Pass, ""},
		"asleep once":       {clockOf(always(1000), asleep, 100, nil), Pass, "1 with long gaps) and never exceed it; the longest gap is 2.88e+04 s before entry 52"},
		"evaluates":         {clockOf(always(1000), slow, 100, nil), Pass, ""},
		"clock went back":   {clockOf(always(1000), stands, 100, back), Pass, ""},
		"not said":          {clockOf(always(1000), stands, 100, nil), Fail, "entry 22: step 20"},
		"fast steps":        {clockOf(always(3), always(3), 1000, nil), Pass, ""},
		"fast steps halved": {clockOf(always(3), always(6), 1000, nil), Fail, "too short"},
		"walls halved":      {clockOf(always(500), always(1000), 100, nil), Fail, "in 99 of 99 stretches"},
		"entries halved":    {clockOf(always(1000), always(500), 100, nil), Fail, "entry 2: step 0 of stage 0: wall time 1 s; between its entry and the one before 0.5 s passed"},
		"too few to say":    {clockOf(always(500), always(1000), 3, nil), Pass, "2 stretches"},
	} {
		if c.got.Result != c.want || !strings.Contains(c.got.Evidence, c.says) {
			t.Errorf("%s: %+v", name, c.got)
		}
	}
}

// A step that is faster than the devices is found, whichever limit it breaks.
func TestDevices(t *testing.T) {
	config, err := arch.Builtin("deepseek-v3")
	if err != nil {
		t.Fatal(err)
	}
	total, _, _ := config.Count()
	m := &record.Manifest{
		Ranks: 8, Hosts: []record.Host{{Memory: 1 << 40}}, Precision: record.Precision{Parameters: "fp32"},
		Devices: []record.Device{{Ranks: []int{0, 1, 2, 3, 4, 5, 6, 7}, Peak: map[string]float64{"bf16": 1e15, "f32": 1e14}, Bandwidth: 3e12}},
	}
	for name, c := range map[string]struct {
		step      record.Step
		optimizer string
		says      string
	}{
		"as it can be":    {record.Step{FLOPs: 7e15, Time: record.Split{Wall: 1e9}, Memory: 1 << 39}, "muon", ""},
		"above the peak":  {record.Step{FLOPs: 8.1e15, Time: record.Split{Wall: 1e9}}, "muon", "are 1.012 of the measured peak of 8e+15"},
		"above bandwidth": {record.Step{FLOPs: 7e14, Time: record.Split{Wall: 4e8}}, "muon", "need 0.5"},
		"two moments":     {record.Step{FLOPs: 7e14, Time: record.Split{Wall: 6e8}}, "adamw", "need 0.7"},
		"above memory":    {record.Step{FLOPs: 7e14, Time: record.Split{Wall: 1e9}, Memory: 1 << 41}, "muon", "the largest host has 1099511627776"},
		"skipped":         {record.Step{Skipped: "non-finite", Time: record.Split{Wall: 1e8}}, "muon", ""},
	} {
		var fs findings
		p, err := newPower(m)
		if err != nil {
			t.Fatal(err)
		}
		p.step(fs.add("device"), record.NewEntry(5, 1, &c.step), &c.step, touched(m, total, c.optimizer))
		got := fs.checks()[0]
		if (got.Result == Pass) != (c.says == "") || !strings.Contains(got.Evidence, c.says) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestStepsAreKeptInFewBytes(t *testing.T) {
	if n := unsafe.Sizeof(step{}); n > 96 {
		t.Errorf("%d bytes a step", n)
	}
}
