package hardware

import (
	"slices"
	"strings"
	"testing"
)

// load loads an entry or fails the test.
func load(t *testing.T, name string) *Cluster {
	t.Helper()
	c, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryNumberHasEvidence(t *testing.T) {
	if len(Names()) < 25 {
		t.Fatalf("only %d entries", len(Names()))
	}
	for _, name := range Names() {
		c := load(t, name)
		if c.Name != name || c.Title == "" || c.Device.Vendor == "" || c.Device.Rank == "" || !slices.Contains(Engines, c.Engine) {
			t.Errorf("%s: lacks a name, a title, a vendor, what a rank is, or an engine: %v", name, c)
		}
		seen := map[string]bool{}
		for _, f := range c.fields() {
			if f.kind == text || !f.isSet() || f.path == "domains."+c.Domains[len(c.Domains)-1].Name+".size" {
				continue
			}
			seen[f.path] = true
			e, ok := c.Evidence(f.path)
			if !ok || e.Source == "" || len(e.Source) < 8 || !slices.Contains(Grades, e.Grade) || e.Grade == User {
				t.Errorf("%s: %s = %s has evidence %+v", name, f.path, f.format(), e)
			}
			if low, high := c.Range(f.path, f.number()); low > f.number() || high < f.number() {
				t.Errorf("%s: %s = %s is outside of its range", name, f.path, f.format())
			}
		}
		for _, path := range c.EvidencePaths() {
			if !seen[path] {
				t.Errorf("%s: evidence for %s, which has no value", name, path)
			}
		}
		if c.Price.PerHour != 0 {
			t.Errorf("%s: a price in the catalogue: prices are the user's", name)
		}
	}
}

// The figures that everything else rests on, as they are published.
func TestPublishedFigures(t *testing.T) {
	for _, row := range []string{
		"ascend-910b device.peak.bf16 353.9 TFLOP/s official",
		"ascend-910b device.peak.fp16 376 TFLOP/s official",
		"ascend-910b device.bandwidth 1.6 TiB/s official",
		"ascend-910b domains.node.bandwidth 196 GB/s official",
		"ascend-910b domains.scale-out.bandwidth 25 GB/s official",
		"ascend-910b-313t device.peak.bf16 294.9 TFLOP/s official",
		"ascend-910b-280t device.peak.bf16 245.8 TFLOP/s official",
		"ascend-910b-280t device.vector 16 TFLOP/s official",
		"ascend-910c device.peak.bf16 353.9 TFLOP/s official",
		"ascend-910c device.peak.int8 752 TFLOP/s official",
		"ascend-910c device.vector 22 TFLOP/s official",
		"ascend-910c device.efficiency.product 0.7 official",
		"ascend-910c device.efficiency.memory 0.6 official",
		"ascend-910c device.launch.product 5 us official",
		"ascend-910c device.launch.vector 2 us official",
		"ascend-910c device.launch.collective 10 us official",
		"ascend-910c domains.card.bandwidth 224 GB/s official",
		"ascend-910c domains.node.bandwidth 196 GB/s official",
		"ascend-910c domains.supernode.bandwidth 196 GB/s official",
		"ascend-910c domains.supernode.latency 5.5 us official",
		"ascend-910c domains.supernode.size 768 official",
		"ascend-910c power.all_in 728 W derived",
		"ascend-910c-560t device.peak.bf16 245.8 TFLOP/s official",
		"ascend-910c-560t domains.supernode.bandwidth 196 GB/s official",
		"ascend-910c-roce domains.scale-out.bandwidth 24.5 GB/s official",
		"cloudmatrix384 domains.card.bandwidth 270 GB/s third-party",
		"cloudmatrix384 max_devices 768 third-party",
		"ascend-950pr device.peak.fp4 1730 TFLOP/s official",
		"ascend-950dt device.bandwidth 4 TB/s official",
		"ascend-350 device.peak.fp8 756 TFLOP/s official",
		"ascend-350 domains.board.bandwidth 159 GB/s official",
		"a100 device.peak.bf16 312 TFLOP/s third-party",
		"a100 device.bandwidth 2.039 TB/s third-party",
		"a100 domains.node.bandwidth 300 GB/s third-party",
		"a100-4nic domains.scale-out.nics 4 third-party",
		"a100-4nic domains.scale-out.nic_bandwidth 25 GB/s third-party",
		"a100-4nic domains.scale-out.bandwidth 12.5 GB/s derived",
		"h100 device.peak.bf16 989.4 TFLOP/s third-party",
		"h100 device.peak.fp8 1978.9 TFLOP/s third-party",
		"h100 device.bandwidth 3.35 TB/s third-party",
		"h100 domains.node.bandwidth 450 GB/s third-party",
		"h100 domains.scale-out.bandwidth 50 GB/s third-party",
		"h100 failure.mtbf 50677 h third-party",
		"h100-96g-500w device.tdp 500 W third-party",
		"h100-96g-500w device.bandwidth 2.4 TB/s third-party",
		"h800 domains.node.bandwidth 200 GB/s third-party",
		"h800 device.peak.bf16 989.4 TFLOP/s third-party",
		"h20 device.peak.bf16 148 TFLOP/s third-party",
		"h20 domains.node.bandwidth 450 GB/s third-party",
		"h200 device.bandwidth 4.8 TB/s third-party",
		"b200 device.peak.bf16 2250 TFLOP/s third-party",
		"b200 domains.node.bandwidth 900 GB/s third-party",
		"b300 domains.scale-out.bandwidth 100 GB/s memory",
		"gb200 device.peak.bf16 2500 TFLOP/s third-party",
		"gb200 domains.rack.size 72 third-party",
		"gb300 device.peak.fp4 15000 TFLOP/s memory",
		"mi300x device.peak.bf16 1307.4 TFLOP/s third-party",
		"mi300x domains.node.bandwidth 448 GB/s third-party",
		"mi325x device.bandwidth 6 TB/s memory",
		"mi355x domains.node.bandwidth 537.6 GB/s memory",
		"gaudi3 domains.node.bandwidth 525 GB/s memory",
		"gaudi3 domains.scale-out.bandwidth 75 GB/s memory",
	} {
		parts := strings.Fields(row)
		name, path, grade := parts[0], parts[1], parts[len(parts)-1]
		text := strings.Join(parts[2:len(parts)-1], " ")
		c := load(t, name)
		fs := c.fields()
		i := slices.IndexFunc(fs, func(f field) bool { return f.path == path })
		if i < 0 {
			t.Errorf("%s has no %s", name, path)
			continue
		}
		want, err := parseQuantity(fs[i].kind, text)
		if err != nil {
			t.Fatal(err)
		}
		if e, _ := c.Evidence(path); fs[i].number() != want || e.Grade != grade {
			t.Errorf("%s: %s = %s (%s), want %s (%s)", name, path, fs[i].format(), e.Grade, text, grade)
		}
	}
}

// A card of Ascend 910C is two devices, its BF16 peak is not the advertised
// FP16 one, and its links are per die and one way.
func TestTraps(t *testing.T) {
	for _, name := range []string{"ascend-910c", "ascend-910c-560t", "ascend-910c-roce", "cloudmatrix384"} {
		c := load(t, name)
		if c.DevicesPerCard != 2 || c.NodeSize != 16 || c.Cards(2048) != 1024 || c.Nodes(2048) != 128 {
			t.Errorf("%s: %d devices per card, %d per node", name, c.DevicesPerCard, c.NodeSize)
		}
		bf16, _ := c.Device.PeakOf(BF16)
		fp16, _ := c.Device.PeakOf(FP16)
		if bf16 >= fp16 {
			t.Errorf("%s: bf16 at %v is not below fp16 at %v", name, bf16, fp16)
		}
		if _, ok := c.Device.PeakOf(FP8); ok {
			t.Errorf("%s: multiplies in fp8", name)
		}
		if b := c.Domains[1].Bandwidth; b != 196e9 {
			t.Errorf("%s: %v bytes/s within a node, want those of one die one way", name, b)
		}
	}
	if e, _ := load(t, "ascend-910c").Evidence("device.peak.bf16"); !strings.Contains(e.Conflict, "376") {
		t.Errorf("the conflict about the peak is not noted: %+v", e)
	}
}

func TestLoadUnknown(t *testing.T) {
	for name, want := range map[string]string{
		"910c":             "did you mean ascend-910c?",
		"910b":             "did you mean ascend-910b?",
		"ascend910c":       "did you mean ascend-910c?",
		"A100":             "did you mean a100?",
		"gb200-nvl72":      "did you mean gb200?",
		"h10o":             "did you mean h100?",
		"teapot":           `no cluster is named "teapot": there are a100,`,
		"":                 `no cluster is named "": there are a100,`,
		"no/such/file.yml": "and no file: no such file",
		".":                "is a directory",
		"../catalogue":     "and no file",
	} {
		_, err := Load(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load(%q): %v, want %q", name, err, want)
		}
	}
}

func TestLoadReturnsACopy(t *testing.T) {
	a := load(t, "h100")
	a.Device.Peak[BF16], a.Domains[0].Size = 1, 1
	a.SetEvidence("device.peak.bf16", Evidence{})
	b := load(t, "h100")
	if p, _ := b.Device.PeakOf(BF16); p == 1 || b.Domains[0].Size == 1 {
		t.Error("two loads share memory")
	}
}

func TestWeakest(t *testing.T) {
	c := load(t, "ascend-910c")
	if g, p := c.Weakest("device.peak.bf16", "power.all_in", "failure.mtbf", "no.such"); g != Uncertain || p != "failure.mtbf" {
		t.Errorf("weakest is %s of %s", g, p)
	}
}
