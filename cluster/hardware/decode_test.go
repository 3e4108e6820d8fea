package hardware

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// small is a whole description without a base.
const small = `name: lab
device:
  peak: {bf16: 100 TFLOP/s}
  memory: 16 GiB
  bandwidth: 1 TB/s
  host_link: 32 GB/s
  efficiency: {product: 0.7, memory: 80%}
devices_per_card: 1
node_size: 8
max_devices: 64
domains:
  - {name: node, size: 8, bandwidth: 200 GB/s, latency: 2 us, efficiency: 0.8, topology: switch}
  - name: scale-out
    bandwidth: 12.5 GB/s
    latency: 5 us
    efficiency: 0.8
    topology: clos
    nics: 4
    nic_bandwidth: 200 Gb/s
`

func TestDecode(t *testing.T) {
	c, err := Decode([]byte(small), "lab.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Device.Memory != 16<<30 || c.Device.Efficiency.Memory != 0.8 || c.Domains[1].Size != 64 || c.Domains[1].NICBandwidth != 25e9 {
		t.Errorf("decoded %+v", c)
	}
	e, ok := c.Evidence("device.memory")
	if !ok || e.Grade != User || e.Source != "lab.yaml:4" {
		t.Errorf("evidence of a user's number is %+v", e)
	}
}

func TestBase(t *testing.T) {
	c, err := Decode([]byte(`
# keys in any order
device: {memory: 94 GB, peak: {int8: none}, tdp: {value: 650 W, low: 600 W, high: 700 W, grade: measured, source: our meter}}
price: 2.10 USD/h
base: h100
name: ours
max_devices: 512
notes: [in the cellar]
domains:
  - name: node
  - {name: scale-out, bandwidth: 200 Gb/s, nic_bandwidth: 200 Gb/s}
`), "dir/ours.yaml")
	if err != nil {
		t.Fatal(err)
	}
	h := load(t, "h100")
	if c.Name != "ours" || c.Base != "h100" || c.Device.Memory != 94e9 || c.MaxDevices != 512 || c.Domains[1].Size != 512 ||
		c.Domains[1].Bandwidth != 25e9 || c.Domains[1].NICs != 8 || c.Domains[0] != h.Domains[0] || c.Device.Bandwidth != h.Device.Bandwidth ||
		c.Price != (Price{2.10, "USD"}) || len(c.Notes) != 1 {
		t.Errorf("decoded %+v", c)
	}
	if _, ok := c.Device.PeakOf(INT8); ok {
		t.Error("a peak that was set to none is there")
	}
	for path, want := range map[string]Evidence{
		"device.memory": {Grade: User, Source: "ours.yaml:3"},
		"device.tdp":    {Grade: Measured, Source: "our meter", Low: 600, High: 700},
	} {
		if e, _ := c.Evidence(path); e != want {
			t.Errorf("evidence of %s is %+v, want %+v", path, e, want)
		}
	}
	if e, _ := c.Evidence("device.bandwidth"); e.Grade != ThirdParty {
		t.Errorf("the base's evidence is lost: %+v", e)
	}
	if _, ok := c.Evidence("device.peak.int8"); ok {
		t.Error("evidence for a number that is not there")
	}
}

// Each case changes one thing of a good file. The message begins with the
// place and says field, value, rule and what would be legal.
func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"memory: 16 GiB", "memory: 0 GiB", `lab.yaml:4:11: device.memory = 0 B: must be from 1 MiB to 1 PB; nearest legal: 1 MiB`},
		{"memory: 16 GiB", "memory: -16 GiB", `device.memory = -16 GiB: must be from 1 MiB to 1 PB; nearest legal: 1 MiB`},
		{"memory: 16 GiB", "memory: 9e99 GiB", `must be from 1 MiB to 1 PB; nearest legal: 1 PB`},
		{"memory: 16 GiB", "memory: 16", `lab.yaml:4:11: device.memory = "16": must have a unit, as in "64 GiB"`},
		{"memory: 16 GiB", "memory: 16 GHz", `device.memory = "16 GHz": unit "GHz" is not one of B, kB`},
		{"memory: 16 GiB", "memory: .nan", `device.memory = ".nan": must be a number with a unit`},
		{"memory: 16 GiB", "memory: [16 GiB]", `lab.yaml:4:11: device.memory: must be a single value`},
		{"memory: 16 GiB", "memory: none", `device.memory = "none": must be a number with a unit`},
		{"memory: 16 GiB", "memory:", `device.memory: must be a single value`},
		{"memory: 16 GiB", "memori: 16 GiB", `lab.yaml:4:3: device.memori: is not a known key: want one of bandwidth, cores, efficiency, host_link, host_memory, launch, memory, name, peak, rank, tdp, vector, vendor; nearest legal: memory`},
		{"  memory: 16 GiB\n", "", `lab.yaml:2:1: device.memory = 0 B: must be from 1 MiB`},
		{"{bf16: 100 TFLOP/s}", "{bf16: 100 TFLOP}", `device.peak.bf16 = "100 TFLOP": unit "TFLOP" is not one of`},
		{"{bf16: 100 TFLOP/s}", "{bf17: 100 TFLOP/s}", `device.peak.bf17: is not a known key: want one of bf16, fp16, fp32, fp4, fp8, int8, tf32; nearest legal: bf16`},
		{"{bf16: 100 TFLOP/s}", "{}", `device.peak: must give at least one peak`},
		{"{bf16: 100 TFLOP/s}", "100 TFLOP/s", `lab.yaml:3:9: device.peak: must be a mapping with some of bf16`},
		{"node_size: 8", "node_size: 0", `lab.yaml:9:12: node_size = 0: must be from 1 to 16777216; nearest legal: 1`},
		{"node_size: 8", "node_size: 3", `lab.yaml:9:12: node_size = 3: must divide, or be a multiple of, the size of domain node (8): a domain is inside a node or made of whole ones; nearest legal: 8`},
		{"devices_per_card: 1", "devices_per_card: 3", `node_size = 8: must be a multiple of devices_per_card (3); nearest legal: 9`},
		{"max_devices: 64", "max_devices: 60", `lab.yaml:10:14: max_devices = 60: must be a multiple of the size of domain node (8); nearest legal: 64`},
		{"max_devices: 64", "max_devices: 4", `max_devices = 4: must be a multiple of the size of domain node (8); nearest legal: 8`},
		{"max_devices: 64", "max_devices: 99999999999", `max_devices = 33554432: must be from 1 to 16777216; nearest legal: 16777216`},
		{"name: scale-out", "name: scale-out\n    size: 32", `domains.scale-out.size = 32: the last domain spans all devices: must be max_devices (64), or left out; nearest legal: 64`},
		{"name: scale-out", "name: node", `domains[1].name = "node": must differ from the name of every other domain`},
		{"name: scale-out", "name: Scale Out", `domains[1].name = "Scale Out": must be lower-case letters, digits and hyphens, beginning with a letter; nearest legal: scale-out`},
		{"name: scale-out\n", "size: 64\n", `domains[1].name: must be given`},
		{"bandwidth: 200 GB/s", "bandwidth: 2 TB/s", `domains.node.bandwidth = 2 TB/s: cannot be above device.bandwidth (1 TB/s): what is sent is read from memory; nearest legal: 1 TB/s`},
		{"host_link: 32 GB/s", "host_link: 32 TB/s", `lab.yaml:6:14: device.host_link = 32 TB/s: cannot be above device.bandwidth`},
		{"bandwidth: 12.5 GB/s", "bandwidth: 25 GB/s", `domains.scale-out.bandwidth = 25 GB/s: cannot be above what 4 network cards of 25 GB/s give each of 8 devices of a node; nearest legal: 12.5 GB/s`},
		{"    nics: 4\n", "", `domains.scale-out.nics = 0: nics and nic_bandwidth must be given together`},
		{"latency: 5 us", "latency: 0 us", `domains.scale-out.latency = 0 s: must be from 1 ns to 10 s; nearest legal: 1 ns`},
		{"latency: 5 us", "latency: 5 GB/s", `unit "GB/s" is not one of ns, us, ms, s, min, h, d`},
		{"topology: clos", "topology: closs", `domains.scale-out.topology = "closs": must be one of mesh, switch, clos; nearest legal: clos`},
		{"product: 0.7", "product: 1.7", `device.efficiency.product = 1.7: must be from 0.01 to 1; nearest legal: 1`},
		{"product: 0.7", "product: {value: 0.7, low: 0.8, high: 0.9}", `device.efficiency.product = 0.7: must lie between low (0.8) and high (0.9)`},
		{"product: 0.7", "product: {grade: measured}", `device.efficiency.product: must have a value beside its evidence`},
		{"product: 0.7", "product: {value: 0.7, grade: guess}", `device.efficiency.product.grade = "guess": must be one of measured, official`},
		{"product: 0.7", "product: {value: 0.7, sorce: me}", `product.sorce: is not a known key: want one of conflict, grade, high, low, source, value; nearest legal: source`},
		{"name: lab", "name: Lab 1", `lab.yaml:1:7: name = "Lab 1": must be lower-case letters, digits, dots and hyphens, beginning with a letter; nearest legal: lab-1`},
		{"name: lab\n", "", `name = "": must be lower-case letters`},
		{"name: lab", "name: lab\nbase: h10O", `lab.yaml:2:7: base = "h10O": is no entry of the catalogue: a100`},
		{"name: lab", "name: lab\nname: lab2", `lab.yaml:2:1: mapping key "name" already defined`},
		{"name: lab", "name: lab\nprize: 2 USD/h", `lab.yaml:2:1: prize: is not a known key: want one of base,`},
		{"name: lab", "name: lab\nprice: 2", `price = "2": must be an amount per hour of one device`},
		{"name: lab", "name: lab\nprice: 2 usd/h", `as in "2.10 USD/h"`},
		{"name: lab", "name: lab\nprice: -2 USD/h", `price = -2 USD/h: must be from 0 USD/h to 1000000 USD/h; nearest legal: 0 USD/h`},
		{"name: lab", "name: lab\nnotes: one", `notes: must be a list of sentences`},
		{"name: lab", "name: lab\npower: {pue: 0.9}", `power.pue = 0.9: must be from 1 to 5; nearest legal: 1`},
		{"name: lab", "name: lab\nengine: megatronn", `engine = "megatronn": must be one of megatron,`},
		{"name: lab", "name: lab\nsources: [a]", `sources: must be a mapping`},
		{"name: lab", "name: lab\n3: 4", `a key must be a plain word`},
		{"name: lab", "- name: lab", `lab.yaml`},
		{"domains:\n", "domains: x\nother:\n", `domains: must be a list, innermost domain first`},
		{small, "", `the file is empty`},
		{small, "# nothing\n", `the file is empty`},
		{small, "just text", `must be a mapping that begins with name`},
		{small, small + "---\n" + small, `there is a second document`},
		{small, "name: lab\n", `domains: must list at least the domain that spans all devices`},
		{small, "name: lab\nbase: h100\nmax_devices: 100\n", `lab.yaml:3:14: max_devices = 100: must be a multiple of the size of domain node (8); nearest legal: 104`},
		{small, "name: lab\nbase: h100\nnode_size: 16\n", `domains.scale-out.bandwidth = 50 GB/s: cannot be above what 8 network cards of 50 GB/s give each of 16 devices of a node (the value is that of its base h100); nearest legal: 25 GB/s`},
		{small, "name: lab\nbase: h100\ndevice: {bandwidth: 1 GB/s}\n", `domains.node.bandwidth = 450 GB/s: cannot be above device.bandwidth (1 GB/s): what is sent is read from memory (the value is that of its base h100); nearest legal: 1 GB/s`},
		{small, "a: &a [*a]", ``},
		{small, "x: {", `lab.yaml:1:4: `},
		{small, "\x00", ``},
		{small, strings.Repeat("[", 30000), `lab.yaml:1: must not nest deeper than 32 levels`},
		{small, strings.Repeat("a: {", 8000), `must not nest deeper`},
		{small, strings.Repeat("&a ", 10000), `a line must be at most 4096 bytes`},
		{small, strings.Repeat("#", maxFile+1), `must be at most 32768 bytes, is longer`},
	} {
		text := strings.Replace(small, c.old, c.new, 1)
		if text == small {
			t.Fatalf("%q is not in the file", c.old)
		}
		start := time.Now()
		got, err := Decode([]byte(text), "lab.yaml")
		if took := time.Since(start); took > time.Second {
			t.Errorf("%.40q: took %v to refuse", c.new, took)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "hardware: lab.yaml:") {
			t.Errorf("%.40q instead of %.40q: %v, %v\nwant an error with %s", c.new, c.old, got, err, c.want)
		}
	}
}

// All faults are reported at once, in the order of the file.
func TestDecodeReportsAllFaults(t *testing.T) {
	text := strings.NewReplacer("16 GiB", "16", "node_size: 8", "node_size: x", "latency: 5 us", "latency: 5").Replace(small)
	_, err := Decode([]byte(text), "lab.yaml")
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], ":4:") || !strings.Contains(lines[1], ":9:") || !strings.Contains(lines[2], ":15:") {
		t.Errorf("got %v", err)
	}
	var field *FieldError
	if !errors.As(err, &field) || field.Field != "device.memory" || field.Line != 4 {
		t.Errorf("no FieldError in %v", err)
	}
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lab.yaml")
	if err := os.WriteFile(path, []byte(small), 0o644); err != nil {
		t.Fatal(err)
	}
	c := load(t, path)
	if c.Name != "lab" {
		t.Errorf("loaded %v", c)
	}
	if _, err := os.Stat("/dev/zero"); err == nil {
		if _, err := Load("/dev/zero"); err == nil || !strings.Contains(err.Error(), "at most 32768 bytes") {
			t.Errorf("an endless file: %v", err)
		}
	}
	if err := os.WriteFile(path, make([]byte, maxFile+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "at most 32768 bytes") {
		t.Errorf("a huge file: %v", err)
	}
}

// A cluster that a program built is checked like one from a file.
func TestCheck(t *testing.T) {
	c := load(t, "h100")
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	c.NodeSize = 0
	if err := c.Check(); err == nil || err.Error() != "hardware: node_size = 0: must be from 1 to 16777216; nearest legal: 1" {
		t.Errorf("node size 0: %v", err)
	}
	if err := (&Cluster{}).Check(); err == nil {
		t.Error("the zero cluster passes")
	}
}
