package render

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
)

// NewFiller begins with what the manifest says.
func NewFiller(m *record.Manifest) *Filler {
	f := &Filler{
		run: Run{
			Name: m.Run, Source: "log", Recipe: m.Recipe, Started: m.Started, Ranks: int64(m.Ranks), DType: m.Precision.Linear,
			Seed: &m.Seed, Samples: map[string]int64{},
		},
		perToken: map[perToken]float64{},
	}
	r := &f.run
	if p := m.Precision; p.Linear != "" && p.Attention != "" {
		if p.Communication == "" { // one rank: nothing is sent, nothing is lower
			p.Communication = p.Parameters
		}
		r.Precision = &Precision{p.Linear, p.Attention, p.Communication}
	}
	if m.Started > 0 {
		r.Events = []Event{{Kind: InitStart, Time: m.Started, Text: "the program begins to prepare the run"}}
	}
	r.Mesh = &Mesh{int64(m.Mesh.Tensor), int64(m.Mesh.Pipeline), int64(m.Mesh.Context), int64(m.Mesh.Expert)}
	f.hosts(m.Hosts)
	r.Hardware = append(r.Hardware, Fact{"ranks", count(int64(m.Ranks))}, Fact{"mesh", fmt.Sprintf(
		"tensor %d, pipeline %d, context %d, expert %d, data %d", m.Mesh.Tensor, m.Mesh.Pipeline, m.Mesh.Context, m.Mesh.Expert, m.Mesh.Data,
	)})
	f.devices("", m.Devices)
	f.links(m.Links)
	f.architecture(m.Architecture) // after the devices: what cannot be read is said among the facts
	f.software(m)
	for _, d := range m.Data {
		r.Data = append(r.Data, File{Path: d.Path, Digest: string(d.Digest), Bytes: d.Bytes, Rows: d.Rows})
	}
	return f
}

// architecture reads the model's configuration. One that this program cannot
// read leaves the counts of operations out and is told among the facts.
func (f *Filler) architecture(text string) {
	if text == "" {
		return
	}
	c, err := arch.ParseConfig([]byte(text))
	if err != nil {
		f.run.Software = append(f.run.Software, Fact{"architecture", "cannot be read: " + err.Error()})
		return
	}
	f.run.Model = c
}

// hosts tells of machines, equal ones together.
func (f *Filler) hosts(hosts []record.Host) {
	type kind struct {
		name   string // of the first
		number int
	}
	var order []string
	kinds := map[string]*kind{}
	for _, h := range hosts {
		key := fmt.Sprintf("%q %q %d %d %q", h.CPU, h.Features, h.Cores, h.Memory, h.Kernel)
		if k := kinds[key]; k != nil {
			k.number++
			continue
		}
		name := "host"
		if len(order) > 0 {
			name = fmt.Sprintf("host, kind %d", len(order)+1)
		}
		kinds[key] = &kind{h.Name, 1}
		order = append(order, key)
		if len(order) > maxKinds {
			continue
		}
		memory := ""
		if h.Memory > 0 {
			memory = unit.Bytes(h.Memory).String()
		}
		f.run.Hardware = append(
			f.run.Hardware, Fact{name, key}, Fact{name + ", processor", h.CPU}, Fact{name + ", cores", count(int64(h.Cores))},
			Fact{name + ", memory", memory}, Fact{name + ", features", strings.Join(h.Features, " ")},
		)
		f.run.Software = append(f.run.Software, Fact{name + ", kernel", h.Kernel})
	}
	for i := range f.run.Hardware {
		if k := kinds[f.run.Hardware[i].Value]; k != nil {
			f.run.Hardware[i].Value = k.name
			if k.number > 1 {
				f.run.Hardware[i].Value = fmt.Sprintf("%s and %d more alike", k.name, k.number-1)
			}
		}
	}
	if n := len(order); n > maxKinds {
		f.run.Hardware = append(f.run.Hardware, Fact{"more kinds of hosts", count(int64(n - maxKinds))})
	}
}

// maxKinds is the most kinds of hosts or devices, and the most links, told one
// by one.
const maxKinds = 16

// maxFacts bounds what a run that goes on again and again says of its devices.
const maxFacts = 200

// devices tells the measured peaks. Their sum in the format of the products, or
// in the only one, is the run's peak; without one the steps tell it. Devices on
// which a run goes on, after an entry, are those of the steps from there.
func (f *Filler) devices(after string, devices []record.Device) {
	types, ranks := map[string]float64{}, map[string]int{}
	for i, d := range devices {
		for dtype, peak := range d.Peak {
			types[dtype] += float64(peak * float64(len(d.Ranks)))
			ranks[dtype] += len(d.Ranks)
		}
		if i >= maxKinds || len(f.run.Hardware) > maxFacts {
			continue
		}
		name := strings.TrimSpace("device " + after)
		if len(devices) > 1 {
			name += fmt.Sprintf(", kind %d", i+1)
		}
		f.run.Hardware = append(f.run.Hardware, Fact{name, d.Name})
		if d.Path != "" {
			f.run.Hardware = append(f.run.Hardware, Fact{name + ", computes with", fmt.Sprintf("%s, %s", d.Path, plural(int64(d.Threads), "thread", "threads"))})
		}
		for _, dtype := range slices.Sorted(maps.Keys(d.Peak)) {
			f.run.Hardware = append(f.run.Hardware, Fact{
				name + ", " + dtype + " peak", fmt.Sprintf("%s, measured, on each of %s", rate(d.Peak[dtype]), plural(int64(len(d.Ranks)), "rank", "ranks")),
			})
		}
		if d.Bandwidth > 0 {
			f.run.Hardware = append(f.run.Hardware, Fact{name + ", memory bandwidth", fmt.Sprintf("%s/s, measured", bytesOf(d.Bandwidth))})
		}
	}
	dtype := f.run.DType
	if len(types) == 1 { // kernels say f32 for fp32
		dtype = slices.Collect(maps.Keys(types))[0]
	}
	switch peak := types[dtype]; {
	case !(peak > 0) || math.IsInf(peak, 1): // no peak
	case after != "":
		f.peak = peak
	default:
		f.run.DType, f.run.Peak = strings.Replace(dtype, "f32", "fp32", 1), peak
		f.run.PeakBasis = fmt.Sprintf("%s, measured, %s together", dtype, plural(int64(ranks[dtype]), "rank", "ranks"))
	}
}

// links tells of the interconnect: of few links each, of many the slowest, the
// median and the fastest.
func (f *Filler) links(links []record.Link) {
	say := func(name string, l record.Link) {
		f.run.Interconnect = append(f.run.Interconnect, Fact{name, fmt.Sprintf(
			"%s/s, %.4g µs, measured from rank %d to rank %d", bytesOf(l.Bandwidth), 1e6*l.Latency, l.From, l.To,
		)})
	}
	switch n := len(links); {
	case n == 0 && f.run.Ranks == 1:
		f.run.Interconnect = []Fact{{"links", "one rank: no link"}}
	case n <= maxKinds:
		for _, l := range links {
			say(fmt.Sprintf("rank %d to rank %d", l.From, l.To), l)
		}
	default:
		sorted := slices.Clone(links)
		slices.SortStableFunc(sorted, func(a, b record.Link) int { return cmp.Compare(a.Bandwidth, b.Bandwidth) })
		f.run.Interconnect = append(f.run.Interconnect, Fact{"links measured", grouped(int64(n))})
		say("slowest link", sorted[0])
		say("median link", sorted[n/2])
		say("fastest link", sorted[n-1])
		slices.SortStableFunc(sorted, func(a, b record.Link) int { return cmp.Compare(a.Latency, b.Latency) })
		say("link of longest latency", sorted[n-1])
	}
}

func (f *Filler) software(m *record.Manifest) {
	s := &f.run.Software
	*s = append(*s, Fact{"temper", m.Program.Version}, Fact{"revision", m.Program.Revision}, Fact{"Go", m.Program.Go})
	for _, group := range []struct {
		kind string
		of   map[string]string
	}{{"build", m.Program.Build}, {"module", m.Program.Modules}} {
		for _, k := range slices.Sorted(maps.Keys(group.of)) {
			*s = append(*s, Fact{group.kind + " " + k, group.of[k]})
		}
	}
	precision := ""
	if p := m.Precision; p.Parameters+p.Linear+p.Attention+p.Communication != "" {
		precision = fmt.Sprintf("parameters %s, products %s, attention %s, communication %s",
			orNone(p.Parameters), orNone(p.Linear), orNone(p.Attention), orNone(p.Communication))
	}
	*s = append(*s, Fact{"number formats", precision}, Fact{"seed", fmt.Sprint(m.Seed)}, Fact{"clock", m.Clock}, Fact{"tokenizer", string(m.Tokenizer)},
		Fact{"order of all examples", string(m.Order)}, Fact{"verifier key of the signer", m.Signer})
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// count is n, nothing for what is not known.
func count(n int64) string {
	if n <= 0 {
		return ""
	}
	return grouped(n)
}

// rate prints operations per second.
func rate(flops float64) string { return unit.FLOPs(flops).String() + "/s" }

// bytesOf prints bytes with three digits and a decimal prefix, as rates have it.
func bytesOf(x float64) string {
	prefixes := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	i := 0
	for x >= 1000 && i < len(prefixes)-1 {
		x, i = x/1000, i+1
	}
	return fmt.Sprintf("%.3g %s", x, prefixes[i])
}

// plural is a number with the word for one or for more.
func plural(n int64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + more
}
