package costmodel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
	"github.com/temper-ml/temper/model/arch"
)

// Layout is one way of spreading a training step over the devices.
type Layout struct {
	Mesh       mesh.Mesh
	Chunks     int           // virtual pipeline stages per stage (vpp)
	MicroBatch int           // sequences that pass the pipeline together
	Schedule   schedule.Kind // order of the pipeline's passes
	Recompute  string        // none, selective, full, or modules joined by +
	Zero       int           // ZeRO stage, 0 to 3
	Offload    string        // none or optimizer: what lives in host memory
	Split      string        // which blocks each stage holds; "" is an even split
}

// String returns the form that [ParseLayout] reads.
func (l Layout) String() string {
	s := fmt.Sprintf("%s,vpp=%d,mbs=%d,schedule=%s,recompute=%s,zero=%d,offload=%s",
		l.Mesh, max(1, l.Chunks), l.MicroBatch, l.Schedule, l.Recompute, l.Zero, l.Offload)
	if l.Split != "" {
		s += ",split=" + l.Split
	}
	return s
}

// layoutKeys are the keys of a layout's text, in the order of [Layout.String].
var layoutKeys = []string{"tp", "cp", "dp", "pp", "ep", "etp", "vpp", "mbs", "schedule", "recompute", "zero", "offload", "split"}

// ParseLayout reads "tp=2,pp=8,vpp=4,ep=64": every key at most once and every
// one optional. What is left out is 1, but dp, which is what remains of the
// devices; vpp, which is 2 with the schedules that are made so; recompute, which
// is "none"; zero, which is 1; and the schedule, which is 1f1b, or interleaved
// with vpp above 1.
func ParseLayout(text string, devices int) (Layout, error) {
	l := Layout{Mesh: mesh.Mesh{TP: 1, CP: 1, PP: 1, EP: 1, ETP: 1}, Chunks: 1, MicroBatch: 1, Recompute: "none", Zero: 1, Offload: "none"}
	rest := strings.TrimSpace(text)
	seen := map[string]bool{}
	for rest != "" {
		var word string
		word, rest, _ = strings.Cut(rest, ",")
		key, value, ok := strings.Cut(strings.TrimSpace(word), "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok {
			return Layout{}, fmt.Errorf("costmodel: layout %q: %q is not key=value", text, word)
		}
		if seen[key] {
			return Layout{}, fmt.Errorf("costmodel: layout %q: %s is given twice", text, key)
		}
		seen[key] = true
		if key == "split" && rest != "" { // a split may hold commas: it comes last
			value, rest = value+","+rest, ""
		}
		if err := l.set(key, value); err != nil {
			return Layout{}, fmt.Errorf("costmodel: layout %q: %w", text, err)
		}
	}
	if !seen["vpp"] {
		l.Chunks = l.usualChunks()
	}
	return l, l.complete(devices)
}

// usualChunks is vpp where it is not given.
func (l *Layout) usualChunks() int {
	if slices.Contains([]schedule.Kind{schedule.ZBV, schedule.DualPipe, schedule.DualPipeV}, l.Schedule) {
		return 2
	}
	return 1
}

// set gives one key its value.
func (l *Layout) set(key, value string) error {
	texts := map[string]*string{"recompute": &l.Recompute, "offload": &l.Offload, "split": &l.Split, "schedule": (*string)(&l.Schedule)}
	if p, ok := texts[key]; ok {
		*p = value
		return nil
	}
	m := &l.Mesh
	numbers := map[string]*int{"tp": &m.TP, "cp": &m.CP, "dp": &m.DP, "pp": &m.PP, "ep": &m.EP, "etp": &m.ETP, "vpp": &l.Chunks, "mbs": &l.MicroBatch, "zero": &l.Zero}
	p, ok := numbers[key]
	if !ok {
		hint := ""
		if near := arch.Nearest(key, layoutKeys); near != "" {
			hint = fmt.Sprintf(": did you mean %s?", near)
		}
		return fmt.Errorf("no key %q, want some of %s%s", key, strings.Join(layoutKeys, ", "), hint)
	}
	n, err := strconv.Atoi(value)
	if least := 1; err != nil || n > mesh.MaxWorld || n < least && !(key == "zero" && n == 0) {
		return fmt.Errorf("%s is %q, want a whole number in 1..%d", key, value, mesh.MaxWorld)
	}
	*p = n
	return nil
}

// complete fills in the schedule and dp.
func (l *Layout) complete(devices int) error {
	if l.Schedule == "" {
		l.Schedule = schedule.OneFOneB
		if l.Chunks > 1 {
			l.Schedule = schedule.Interleaved
		}
	}
	if l.Mesh.DP != 0 || devices == 0 {
		l.Mesh.DP = max(1, l.Mesh.DP)
		return nil
	}
	if devices < 1 || devices > mesh.MaxWorld {
		return reject("devices", "devices is %d, must lie in 1..%d: nearest legal value %d", devices, mesh.MaxWorld, min(max(devices, 1), mesh.MaxWorld))
	}
	m := l.Mesh
	m.DP, m.EP, m.ETP = 1, 1, 1
	if err := m.Check(); err != nil { // before their product, which may be too large for an int
		return reject("mesh", "%v", err)
	}
	each := m.TP * m.CP * m.PP
	if devices%each != 0 {
		return reject("devices", "tp*cp*pp is %d*%d*%d = %d, must divide the number of devices %d: nearest legal value %d",
			m.TP, m.CP, m.PP, each, devices, nearestDivisor(devices, each))
	}
	l.Mesh.DP = devices / each
	return nil
}

// nearestDivisor returns the divisor of n closest to want, the smaller of two.
func nearestDivisor(n, want int) int {
	best := 1
	for d := 1; d <= n/d; d++ {
		if n%d != 0 {
			continue
		}
		for _, c := range []int{d, n / d} {
			if near, at := max(c-want, want-c), max(best-want, want-best); near < at || near == at && c < best {
				best = c
			}
		}
	}
	return best
}

// clean returns the layout with its defaults, so that equal layouts are equal.
func (l Layout) clean() Layout {
	l.Chunks = max(1, l.Chunks)
	if l.Recompute == "" {
		l.Recompute = "none"
	}
	if l.Offload == "" {
		l.Offload = "none"
	}
	if l.Mesh.ETP == 0 {
		l.Mesh.ETP = 1
	}
	if l.Mesh.EP == 0 {
		l.Mesh.EP = 1
	}
	return l
}

// offloads are the legal values of Layout.Offload.
var offloads = []string{"none", "optimizer"}

func knownOffload(s string) bool { return slices.Contains(offloads, s) }
