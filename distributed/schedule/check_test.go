package schedule

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOrdersPassTheirCheck(t *testing.T) {
	var p Pipeline
	rapid.Check(t, func(t *rapid.T) {
		if err := p.Reset(drawShape(t)); err != nil {
			t.Fatal(err)
		}
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

// runs is a slow and plain judge of compute orders: it repeats running any
// action whose inputs are there until none is left, or none can run.
func runs(p *Pipeline) bool {
	type result struct {
		op           Op
		chunk, micro int
		stage        int
	}
	done := map[result]bool{}
	next := make([]int, p.Stages)
	can := func(stage int, a Action) bool {
		chunk, micro := int(a.Chunk), int(a.Micro)
		first, last := p.Micros(chunk)
		if micro < first || micro >= last {
			return false
		}
		has := func(op Op) bool { return done[result{op, chunk, micro, stage}] }
		switch a.Op {
		case Forward:
			from, c, ok := p.Previous(stage, chunk)
			return !has(Forward) && (!ok || done[result{Forward, c, micro, from}])
		case BackwardWeight:
			return has(BackwardInput) && !has(BackwardWeight)
		}
		from, c, ok := p.Next(stage, chunk)
		return has(Forward) && !has(BackwardInput) && (!ok || done[result{BackwardInput, c, micro, from}])
	}
	for moved := true; moved; {
		moved = false
		for stage := range p.Compute {
			for next[stage] < len(p.Compute[stage]) {
				a := p.Compute[stage][next[stage]]
				halves := a.halves()
				if slices.ContainsFunc(halves, func(h Action) bool { return !can(stage, h) }) {
					break
				}
				for _, h := range halves {
					done[result{h.Op, int(h.Chunk), int(h.Micro), stage}] = true
					if h.Op == Backward {
						done[result{BackwardInput, int(h.Chunk), int(h.Micro), stage}] = true
						done[result{BackwardWeight, int(h.Chunk), int(h.Micro), stage}] = true
					}
				}
				next[stage]++
				moved = true
			}
		}
	}
	for stage, order := range p.Compute {
		if next[stage] < len(order) {
			return false
		}
		for chunk := range p.Chunks {
			first, last := p.Micros(chunk)
			for micro := first; micro < last; micro++ {
				if !done[result{BackwardWeight, chunk, micro, stage}] {
					return false
				}
			}
		}
	}
	return true
}

// Every change of an order is judged as the plain judge does: what cannot run is
// found, and what can is let through.
func TestCheckFindsEveryBrokenOrder(t *testing.T) {
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		var p Pipeline
		if err := p.Reset(drawShape(t)); err != nil {
			t.Fatal(err)
		}
		stage := rapid.IntRange(0, p.Stages-1).Draw(t, "stage")
		order := slices.Clone(p.Compute[stage])
		n := rapid.IntRange(0, len(order)-1).Draw(t, "action")
		what := rapid.SampledFrom([]string{"drop", "duplicate", "swap", "move", "micro", "chunk", "op"}).Draw(t, "change")
		switch what {
		case "drop":
			order = slices.Delete(order, n, n+1)
		case "duplicate":
			order = slices.Insert(order, n, order[n])
		case "swap":
			k := rapid.IntRange(0, len(order)-1).Draw(t, "with")
			order[n], order[k] = order[k], order[n]
		case "move":
			a := order[n]
			order = slices.Delete(order, n, n+1)
			order = slices.Insert(order, rapid.IntRange(0, len(order)).Draw(t, "to"), a)
		case "micro":
			order[n].Micro = int32(rapid.IntRange(-1, p.Micro).Draw(t, "micro"))
		case "chunk":
			order[n].Chunk = uint8(rapid.IntRange(0, min(p.Chunks-1, 1)).Draw(t, "chunk"))
		case "op":
			order[n].Op = rapid.SampledFrom([]Op{Forward, Backward, BackwardInput, BackwardWeight}).Draw(t, "op")
		}
		p.Compute[stage] = order
		err := p.Check()
		if want := runs(&p); (err == nil) != want {
			t.Fatalf("%v, %s of action %d on stage %d: Check says %v, but that the order runs is %v", p.Shape, what, n, stage, err, want)
		}
		if err != nil {
			refused++
		}
		if what == "drop" || what == "duplicate" {
			if err == nil {
				t.Fatalf("%v: %s of action %d on stage %d is not found", p.Shape, what, n, stage)
			}
		}
	})
	if refused == 0 {
		t.Error("no order was refused")
	}
}

func TestCheckNamesTheFault(t *testing.T) {
	for _, c := range []struct {
		change func(*Pipeline)
		want   string
	}{
		{func(p *Pipeline) { p.Compute[1] = p.Compute[1][1:] }, "stage 1: action 0 is B0.0, but the microbatch has not had its forward there, and must have had its forward"},
		{func(p *Pipeline) { p.Compute[1] = p.Compute[1][:6] }, "stage 1: the order ends, but microbatch 3 of chunk 0 has only not had its forward"},
		{func(p *Pipeline) { p.Compute[0][0].Micro = 9 }, "stage 0: action 0 is F9.0, but chunk 0 has microbatches 0..3"},
		{func(p *Pipeline) { p.Compute[0][0].Chunk = 1 }, "stage 0: action 0 is F0.1, but there are only 1 chunks"},
		{func(p *Pipeline) { p.Compute[0][0].Op = Optimizer }, "stage 0: action 0 is optimizer(0.0), which computes nothing"},
		{func(p *Pipeline) { p.Compute = p.Compute[:1] }, "compute order of 1 stages, must be 2"},
		{func(p *Pipeline) { // stage 0 wants a gradient first that stage 1 makes last
			p.Compute[0] = []Action{{Op: Forward, Micro: 0}, {Op: Forward, Micro: 3}, {Op: Backward, Micro: 3}, {Op: Forward, Micro: 1}, {Op: Forward, Micro: 2}, {Op: Backward, Micro: 0}, {Op: Backward, Micro: 1}, {Op: Backward, Micro: 2}}
		}, "deadlock: stage 0 waits in B3.0 (action 2 of 8) for the backward of microbatch 3 on stage 1 chunk 0, which cannot run before"},
	} {
		p, err := NewPipeline(OneFOneB, 2, 1, 4)
		if err != nil {
			t.Fatal(err)
		}
		c.change(p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

func TestIllegalShapesNameTheRule(t *testing.T) {
	for want, s := range map[string]Shape{
		"schedule: interleaved: microbatches is 3, must be at least the 4 stages, nearest legal value 4":                                    {Interleaved, 4, 2, 3, 0},
		"schedule: interleaved: group is 3, must lie in 4..9 and leave no last group of 1..3 microbatches, nearest legal value 5":           {Interleaved, 4, 2, 9, 3},
		"schedule: interleaved: group is 8, must lie in 4..9 and leave no last group of 1..3 microbatches, nearest legal value 9":           {Interleaved, 4, 2, 9, 8},
		"schedule: interleaved: group is 99, must lie in 4..9 and leave no last group of 1..3 microbatches, nearest legal value 9":          {Interleaved, 4, 2, 9, 99},
		"schedule: 1f1b: group is 4, must be 0: only interleaved schedules work in groups, nearest legal value 0":                           {OneFOneB, 4, 1, 8, 4},
		"schedule: interleaved: chunks is 1, must be at least 2: with one chunk use 1f1b, nearest legal value 2":                            {Interleaved, 4, 1, 8, 0},
		"schedule: interleaved: stages is 1, must be at least 2: one stage has nothing to interleave, nearest legal value 2":                {Interleaved, 1, 2, 8, 0},
		"schedule: dualpipe: stages is 5, must be even: the two directions meet in the middle, nearest legal value 4":                       {DualPipe, 5, 2, 16, 0},
		"schedule: dualpipe: microbatches is 17, must be even: half goes each direction, nearest legal value 16":                            {DualPipe, 4, 2, 17, 0},
		"schedule: dualpipe: microbatches is 7, must be at least twice the 4 stages to fill both ways, nearest legal value 8":               {DualPipe, 4, 2, 7, 0},
		"schedule: dualpipev: chunks is 1, must be 2: every stage holds two chunks, nearest legal value 2":                                  {DualPipeV, 4, 1, 8, 0},
		"schedule: zb-v: stages is 1, must be at least 2: one stage has nothing to fold, nearest legal value 2":                             {ZBV, 1, 2, 8, 0},
		"schedule: 1f1b: chunks is 2, must be 1: this schedule has one chunk per stage, nearest legal value 1":                              {OneFOneB, 4, 2, 8, 0},
		"schedule: 1f1b: stages is 0, must lie in 1..4096, nearest legal value 1":                                                           {OneFOneB, 0, 1, 8, 0},
		"schedule: 1f1b: microbatches is 0, must lie in 1..4194304, nearest legal value 1":                                                  {OneFOneB, 4, 1, 0, 0},
		"schedule: 1f1b: microbatches is 1073741824, must lie in 1..4194304, nearest legal value 4194304":                                   {OneFOneB, 4, 1, 1 << 30, 0},
		"schedule: zb-h1: chunks is -3, must lie in 1..128, nearest legal value 1":                                                          {ZBH1, 4, -3, 8, 0},
		`schedule: no schedule is called "pipedream", the schedules are [gpipe 1f1b interleaved zb-h1 zb-v dualpipe dualpipev]`:             {"pipedream", 4, 1, 8, 0},
		"schedule: interleaved 4096x128, 4096 microbatches has 4294967296 actions, must be at most 67108864, nearest legal value 64 stages": {Interleaved, 4096, 128, 4096, 0},
		"schedule: 1f1b 4096x1, 65536 microbatches has 536870912 actions, must be at most 67108864, nearest legal value 8192 microbatches":  {OneFOneB, 4096, 1, 65536, 0},
	} {
		if err := new(Pipeline).Reset(s); err == nil || err.Error() != want {
			t.Errorf("%v: %v\nwant %s", s, err, want)
		}
		if s.Check() != nil && s.LowerBound(&Durations{}) != 0 {
			t.Errorf("%v has a lower bound", s)
		}
	}
	if k, err := ParseKind("none"); k != OneFOneB || err != nil {
		t.Errorf("none is %v (%v)", k, err)
	}
	if _, err := ParseKind("pipedream"); err == nil {
		t.Error("pipedream is a schedule")
	}
}

func TestTimeRefusesDurationsThatDoNotFit(t *testing.T) {
	p, err := NewPipeline(OneFOneB, 2, 1, 4)
	if err != nil {
		t.Fatal(err)
	}
	ok := func() *Durations { return uniform(p.Shape, 1, 1, 1) }
	for want, change := range map[string]func(*Durations){
		"durations of Forward: 1 values, must be 2, one per chunk of every stage":                               func(d *Durations) { d.Forward = d.Forward[:1] },
		"durations of Forward: value 1 is -1 s, must lie in 0..32768 s, nearest legal value 0":                  func(d *Durations) { d.Forward[1] = -1 },
		"durations of Weight: value 0 is NaN s, must lie in 0..32768 s, nearest legal value 0":                  func(d *Durations) { d.Weight[0] = d.Weight[0] - d.Weight[0]; d.Weight[0] /= d.Weight[0] },
		"durations of Send: value 0 is 40000 s, must lie in 0..32768 s, nearest legal value 32767.999999999996": func(d *Durations) { d.Send[0] = 40000 },
		"durations of Input: 0 values, must be 2, one per chunk of every stage":                                 func(d *Durations) { d.Input = nil },
	} {
		d := ok()
		change(d)
		if err := p.Time(d, &Timeline{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}
