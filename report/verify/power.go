package verify

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/report/record"
)

// power is what the devices of all ranks can do together, as measured.
type power struct {
	peak      float64 // operations per second, 0 if not known of every rank
	bandwidth float64 // bytes per second, likewise
	hosts     int
	memory    int64 // of the largest host
	regrouped bool

	checked, moved int64 // steps held against peak, bandwidth
	best           float64
	first, highest float64 // peaks that were measured
	times          int64
}

// cacheBytes is more than the caches of any host hold: state below it may never
// cross to memory between steps.
const cacheBytes = 4 << 30

func newPower(m *record.Manifest) (power, error) {
	p := power{}
	err := p.measured(m.Devices, m.Ranks, m.Hosts...)
	return p, err
}

// measured takes what was measured of the ranks that compute from here on.
func (p *power) measured(devices []record.Device, want int, hosts ...record.Host) error {
	p.peak, p.bandwidth, p.hosts, p.memory = 0, 0, len(hosts), 0
	for _, h := range hosts {
		p.memory = max(p.memory, h.Memory)
	}
	peak, bandwidth, ranks := 0.0, 0.0, 0
	missing, unmeasured := false, false
	seen := map[int]bool{}
	for i, d := range devices {
		for _, r := range d.Ranks {
			if r < 0 || r >= want || seen[r] {
				return fmt.Errorf("devices[%d]: rank %d of %d, or on two devices", i, r, want)
			}
			seen[r] = true
		}
		n, one := float64(len(d.Ranks)), largest(d.Peak)
		if !finite(one, d.Bandwidth) || one < 0 || d.Bandwidth < 0 {
			return fmt.Errorf("devices[%d]: peak %v, bandwidth %v", i, one, d.Bandwidth)
		}
		missing, unmeasured = missing || one == 0, unmeasured || d.Bandwidth == 0
		peak += float64(n * one)
		bandwidth += float64(n * d.Bandwidth)
		ranks += len(d.Ranks)
	}
	if ranks == want && !missing && peak > 0 {
		p.peak = peak
		if p.times++; p.times == 1 {
			p.first = peak
		}
		p.highest = max(p.highest, peak)
	}
	if ranks == want && !unmeasured {
		p.bandwidth = bandwidth
	}
	return nil
}

// again takes what another process measured that continues the run; hosts and
// devices may be left out where they are those of before.
func (p *power) again(f *finding, e *record.Entry, devices []record.Device, ranks int, hosts ...record.Host) {
	if len(devices) == 0 {
		return
	}
	p.regrouped = false
	if err := p.measured(devices, ranks, hosts...); err != nil {
		f.fail(e.Index, "entry %d (%s): %v", e.Index, e.Kind, err)
	}
}

// measuredAgain takes devices that were measured while a process ran, on its hosts.
func (p *power) measuredAgain(f *finding, e *record.Entry, b *record.Ranks) {
	hosts, memory := p.hosts, p.memory
	p.again(f, e, b.Devices, b.Ranks)
	p.hosts, p.memory = hosts, memory
}

// largest is the highest peak of a device, of whatever data type.
func largest(peaks map[string]float64) float64 {
	most := 0.0
	for _, v := range peaks {
		if !(v <= most) {
			most = v
		}
	}
	return most
}

// regroup forgets what was measured of other ranks.
func (p *power) regroup() { p.peak, p.bandwidth, p.regrouped = 0, 0, true }

// touched is the bytes that an update moves through memory at the least: it
// reads parameters, gradients and moments and writes parameters and moments.
// Matrices that Muon takes have one moment, all others two; with Muon only one
// is counted. A tenth is left off for what a stage may freeze (routers).
func touched(m *record.Manifest, total int64, optimizer string) float64 {
	moments, width := 2.0, 4.0
	if optimizer == "muon" {
		moments = 1
	}
	if m.Precision.Parameters != "fp32" {
		width = 1
	}
	return 0.9 * width * float64(total) * (3 + float64(2*moments))
}

// step refuses a step that is faster than the devices.
func (p *power) step(f *finding, e *record.Entry, b *record.Step, bytes float64) {
	wall := float64(b.Time.Wall) / 1e9
	if p.memory > 0 && b.Memory > p.memory {
		f.fail(e.Index, "%s: a rank needs %d bytes, the largest host has %d", say(e, b), b.Memory, p.memory)
	}
	if p.peak > 0 {
		p.checked++
		used := b.FLOPs / (wall * p.peak)
		p.best = max(p.best, used)
		if used > 1 {
			f.fail(e.Index, "%s: %.6g operations in %.6g s are %.4g of the measured peak of %.6g FLOP/s", say(e, b), b.FLOPs, wall, used, p.peak)
		}
	}
	if p.bandwidth > 0 && b.Skipped == "" {
		p.moved++
		least := math.Max(0, bytes-float64(float64(cacheBytes)*float64(max(1, p.hosts)))) / p.bandwidth
		if wall < least {
			f.fail(e.Index, "%s: %.6g s; parameters, gradients and optimizer, %.4g bytes, need %.6g s at the measured %.4g bytes/s", say(e, b), wall, bytes, least, p.bandwidth)
		}
	}
}

func (p *power) evidence() string {
	text := fmt.Sprintf("%d steps below the measured peak, the fastest at %.4g of it; %d not faster than memory moves their state", p.checked, p.best, p.moved)
	if p.times > 1 {
		text += fmt.Sprintf("; the peak was measured %d times, %.4g FLOP/s at first and %.4g at most", p.times, p.first, p.highest)
	}
	return text
}
