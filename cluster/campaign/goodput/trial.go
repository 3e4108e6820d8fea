package goodput

import (
	"math"
	"slices"

	"github.com/temper-ml/temper/internal/detrand"
)

// Loss is a use of wall time other than useful work.
type Loss uint8

// The losses, in the order in which they are reported.
const (
	Checkpoints Loss = iota
	LostWork
	Detection
	WaitingForNodes
	Restarting
	Loading
	SlowRanks
	MissingNodes
	losses
)

var lossNames = [losses]string{
	"checkpoints", "lost work", "detection", "waiting for nodes", "restart", "loading", "slow ranks", "missing nodes",
}

// String returns the name of the loss, such as "lost work".
func (l Loss) String() string { return lossNames[min(l, losses-1)] }

// trial is one run of the days.
type trial struct {
	*setup
	now, useful float64
	lost        [losses]float64
	counts      []int // by cause, then silent corruption
	events      int

	x                 float64 // since the checkpoint cycle began: Interval of training, then Save
	captured, durable float64 // useful work in the last checkpoint, and in the last one that storage has
	capturedAt        float64
	copied            float64 // training since the last copy to memory

	failures, silents, slows arrivals
	causes, lives            draws
	slowUntil                float64
	missing, spares          int
	repairs                  []float64 // when broken nodes are back
	silent                   []corruption
}

// corruption is a silent one: found at, and the last sound checkpoint.
type corruption struct{ found, base, useful float64 }

// draws is a stream read in order.
type draws struct {
	stream detrand.Stream
	n      uint64
}

func (d *draws) uniform() float64 {
	d.n++
	return d.stream.Float64At(d.n - 1)
}

// exponential has mean 1; it is never infinite, for 1 - uniform is never 0.
func (d *draws) exponential() float64 { return -math.Log(1 - d.uniform()) }

// arrivals is a power-law process: the i-th event is at λ (Γᵢ / n)^(1/k), with
// Γᵢ the i-th event of a Poisson process of rate 1.
type arrivals struct {
	draws
	gamma, lambda, shape, devices float64
	next                          float64
}

func (a *arrivals) start(s detrand.Stream, lambda, shape, devices float64) {
	*a = arrivals{draws: draws{stream: s}, lambda: lambda, shape: shape, devices: devices, next: math.Inf(1)}
	a.advance()
}

func (a *arrivals) advance() {
	if a.lambda <= 0 {
		return
	}
	a.gamma += a.exponential()
	x := a.gamma / a.devices
	if a.shape != 1 {
		x = math.Pow(x, 1/a.shape)
	}
	a.next = a.lambda * x
}

func (s *setup) newTrial(number int) *trial {
	t := &trial{setup: s, counts: make([]int, len(s.failure.causes())+1), spares: s.policy.Spares}
	key := func(purpose string) detrand.Stream { return s.stream(purpose, number) }
	n := float64(s.devices)
	lambda, shape := s.failure.scale()
	t.failures.start(key("failures"), lambda, shape, n)
	t.silents.start(key("silent"), s.failure.SilentMTBF, 1, n)
	t.slows.start(key("slow"), s.failure.SlowMTBF, 1, n)
	t.causes.stream, t.lives.stream = key("causes"), key("lives")
	return t
}

// stream is the stream of one purpose in one trial.
func (s *setup) stream(purpose string, number int) detrand.Stream {
	return detrand.Key(s.seed, "goodput/"+purpose, uint64(number))
}

// run walks from event to event; ok is false if the work would never end.
func (t *trial) run() (ok bool) {
	for t.useful < t.work && t.now < t.horizon {
		if t.events++; t.events > 1e6 || t.now > t.patience {
			return false
		}
		at := min(t.failures.next, t.silents.next, t.slows.next, t.horizon)
		if t.slowUntil > t.now {
			at = min(at, t.slowUntil)
		}
		if len(t.repairs) > 0 {
			at = min(at, t.repairs[0])
		}
		for _, c := range t.silent {
			at = min(at, c.found)
		}
		t.walk(at)
		if t.useful < t.work && t.now < t.horizon {
			t.happen()
		}
	}
	if t.useful >= t.work {
		t.spend(Checkpoints, max(t.check.Save, t.check.Write))
	}
	return true
}

// happen handles every event that is due.
func (t *trial) happen() {
	switch {
	case t.failures.next <= t.now:
		t.interrupted(t.draw())
	case t.foundSilent():
	case t.silents.next <= t.now:
		if t.silents.next == t.now { // else nothing was computed at that moment
			delay := t.lives.exponential() * t.failure.SilentDetect
			t.silent = append(t.silent, corruption{found: t.now + delay, base: t.durable, useful: t.useful})
		}
		t.silents.advance()
	case t.slows.next <= t.now:
		t.slowUntil = max(t.slowUntil, t.now+float64(t.lives.exponential()*t.failure.SlowDuration))
		t.slows.advance()
	case len(t.repairs) > 0 && t.repairs[0] <= t.now:
		t.repaired()
	}
}

// repaired brings a node back.
func (t *trial) repaired() {
	t.repairs = t.repairs[1:]
	if t.policy.Capacity == Spares {
		t.spares++
		return
	}
	t.missing--
	t.spend(Restarting, t.policy.Reconfigure)
}

// spend books wall time that is no training.
func (t *trial) spend(l Loss, seconds float64) {
	t.lost[l] += seconds
	t.now += seconds
}

// speed returns the three factors of the training speed: missing nodes, slow
// ranks, copies to memory.
func (t *trial) speed() (whole, brisk, free float64) {
	whole = max(0, 1-float64(float64(t.missing)*t.policy.ShrinkShare))
	brisk = 1.0
	if t.slowUntil > t.now {
		brisk = 1 / t.failure.SlowFactor
	}
	return whole, brisk, t.free
}

// walk trains and saves until at, or until the work is done.
func (t *trial) walk(at float64) {
	whole, brisk, free := t.speed()
	speed := whole * brisk * free
	train := func(dt float64) {
		t.useful += float64(speed * dt)
		t.lost[MissingNodes] += float64((1 - whole) * dt)
		t.lost[SlowRanks] += float64(whole * (1 - brisk) * dt)
		t.lost[Checkpoints] += float64(whole * brisk * (1 - free) * dt)
		t.copied += dt
	}
	interval, save := t.check.Interval, t.check.Save
	for t.now < at && t.useful < t.work {
		if n := t.whole(at, speed); n > 0 {
			train(n * interval)
			t.lost[Checkpoints] += float64(n * save)
			t.now += float64(n * (interval + save))
			t.captured, t.capturedAt = t.useful, t.now-save
			t.durable = t.captured - float64(interval*speed)
			t.copied = math.Mod(t.copied, t.check.CopyInterval)
		}
		if t.x < interval {
			dt := min(interval-t.x, at-t.now)
			if left := t.work - t.useful; speed*dt >= left {
				train(left / speed)
				t.now += left / speed
				t.useful = t.work
				return
			}
			train(dt)
			t.step(dt, at)
			if t.x >= interval {
				t.x = interval
				t.captured, t.capturedAt = t.useful, t.now
			}
		} else {
			dt := min(interval+save-t.x, at-t.now)
			t.lost[Checkpoints] += dt
			t.step(dt, at)
		}
		if t.now >= t.capturedAt+t.check.Write {
			t.durable = t.captured
		}
		if t.x >= interval+save {
			t.x = 0
		}
	}
}

// step moves the clock and the cycle by dt, exactly onto at when it is reached.
func (t *trial) step(dt, at float64) {
	t.x += dt
	if t.now += dt; at-t.now < 1e-9 {
		t.now = at
	}
}

// whole is the number of whole checkpoint cycles that can be jumped over, with
// one left to walk through.
func (t *trial) whole(at, speed float64) float64 {
	if t.x != 0 || speed == 0 {
		return 0
	}
	interval, save := t.check.Interval, t.check.Save
	n := math.Floor((at-t.now)/(interval+save)) - 1
	if left := math.Floor((t.work-t.useful)/(interval*speed)) - 1; left < n {
		n = left
	}
	return max(0, n)
}

// draw takes the interruption that is due and says what kind it is.
func (t *trial) draw() (cause int, hang bool) {
	t.failures.advance()
	causes := t.failure.causes()
	u := t.causes.uniform() * t.weight
	hang = t.causes.uniform() < t.failure.HangShare
	for i, c := range causes {
		if u -= c.Weight; u < 0 {
			return i, hang || c.Hang
		}
	}
	return len(causes) - 1, hang || causes[len(causes)-1].Hang
}

// interrupted goes from an interruption to the next training.
func (t *trial) interrupted(cause int, hang bool) {
	c := t.failure.causes()[cause]
	t.counts[cause]++
	source := t.policy.Source
	if c.Planned {
		t.spend(Checkpoints, t.check.Save)
		t.captured, t.durable, t.copied = t.useful, t.useful, 0
	}
	t.back(source)
	detect := t.policy.Detect
	switch {
	case c.Planned:
		detect = 0
	case hang:
		detect = t.policy.Timeout
	}
	t.recover(detect, c.Node, source)
}

// back takes the work back to what the source has.
func (t *trial) back(source Source) {
	to := t.durable
	if source == Memory {
		whole, brisk, free := t.speed()
		since := math.Mod(t.copied, t.check.CopyInterval) * whole * brisk * free
		to = max(t.durable, t.useful-since)
	}
	t.rewind(to)
}

// rewind books the work beyond to as lost. Corruptions in that work are gone.
func (t *trial) rewind(to float64) {
	to = max(0, min(to, t.useful))
	t.lost[LostWork] += t.useful - to
	t.useful = to
	t.durable = min(t.durable, to)
	t.captured, t.x, t.copied = t.durable, 0, 0
	t.silent = slices.DeleteFunc(t.silent, func(c corruption) bool { return c.useful >= to })
}

// recover spends the time until training goes on. Another interruption on the
// way begins it anew.
func (t *trial) recover(detect float64, node bool, source Source) {
	for {
		load := t.check.Load
		if source == Memory {
			load = t.check.LoadCopy
		}
		wait := 0.0
		if node {
			wait = t.replace(t.now + detect)
		}
		if t.pass(Detection, detect) && t.pass(WaitingForNodes, wait) && t.pass(Restarting, t.policy.Restart) && t.pass(Loading, load) {
			return
		}
		if t.now >= t.horizon || t.now > t.patience {
			return
		}
		cause, hang := t.draw()
		c := t.failure.causes()[cause]
		t.counts[cause]++
		if t.events++; t.events > 1e6 {
			return
		}
		// A copy in memory is gone when its other holder fails too.
		if source == Memory && c.Node && t.causes.uniform()*float64(t.nodes-1) < 1 {
			source = Storage
			t.rewind(t.durable)
		}
		node, detect = c.Node, t.policy.Detect
		if hang {
			detect = t.policy.Timeout
		}
	}
}

// pass spends time, unless the run is interrupted or its time is up before.
func (t *trial) pass(l Loss, seconds float64) bool {
	end := min(t.failures.next, t.horizon)
	if t.now+seconds > end {
		t.spend(l, max(0, end-t.now))
		return false
	}
	t.spend(l, seconds)
	return true
}

// replace takes a broken node out at a moment and returns how long the run
// waits for what takes its place.
func (t *trial) replace(at float64) float64 {
	back := at + t.policy.Repair
	switch t.policy.Capacity {
	case Requeue:
		return t.policy.Requeue
	case Spares:
		for len(t.repairs) > 0 && t.repairs[0] <= at {
			t.repaired()
		}
		t.repair(back)
		first := t.repairs[0]
		switch {
		case t.spares > 0:
			t.spares--
			return 0
		case t.policy.Requeue > 0 && at+t.policy.Requeue < first:
			return t.policy.Requeue // and the node in repair will be a spare
		}
		t.repairs = t.repairs[1:]
		return max(0, first-at)
	default:
		t.missing++
		t.repair(back)
		if left := 1 - float64(float64(t.missing)*t.policy.ShrinkShare); left > 0 && left >= t.policy.Least-1e-12 {
			return t.policy.Reconfigure
		}
		first := t.repairs[0]
		t.repairs = t.repairs[1:]
		t.missing--
		return max(0, first-at)
	}
}

// repair notes when a node is back, earliest first.
func (t *trial) repair(back float64) {
	i, _ := slices.BinarySearch(t.repairs, back)
	t.repairs = slices.Insert(t.repairs, i, back)
}

// foundSilent handles a silent corruption that is found now: the run goes back
// to the last checkpoint before it, or, when that is kept no more, to the last
// milestone before it.
func (t *trial) foundSilent() bool {
	for i, c := range t.silent {
		if c.found > t.now {
			continue
		}
		t.silent = slices.Delete(t.silent, i, i+1)
		t.counts[len(t.counts)-1]++
		to := c.base
		if t.useful-to > t.check.Kept {
			to = math.Floor(to/t.check.Milestone) * t.check.Milestone
		}
		t.rewind(to)
		t.recover(0, true, Storage)
		return true
	}
	return false
}
