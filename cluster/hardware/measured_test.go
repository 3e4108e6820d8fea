package hardware

import (
	"math"
	"strings"
	"testing"
)

func measurement() *Measurement {
	return &Measurement{
		Name: "here", CPU: "Some CPU 9000", Source: "temper bench device", Ranks: 2,
		Memory: 24 << 30, Peak: 200.123e9, Product: 180e9, Vector: 90e9, Bandwidth: 30e9, LaunchProduct: 1e-6, LaunchRest: 2e-6,
		Process: MeasuredLink{300e-9, 40e9}, Loopback: MeasuredLink{12e-6, 3e9},
	}
}

func TestMeasurementCluster(t *testing.T) {
	c, err := measurement().Cluster()
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := c.Device.PeakOf(FP32); p != 100e9 || c.Device.Memory != 12<<30 || c.Device.Bandwidth != 15e9 || c.NodeSize != 2 || c.MaxDevices != 128 {
		t.Errorf("each of two ranks has %v FLOP/s, %v", p, c)
	}
	if len(c.Domains) != 2 || c.Domains[0].Bandwidth != 15e9 || c.Domains[1].Bandwidth != 3e9 {
		t.Errorf("links %+v: none may be faster than memory", c.Domains)
	}
	if e, _ := c.Evidence("device.bandwidth"); e.Grade != Measured {
		t.Errorf("evidence %+v", e)
	}
	back, err := Decode(c.YAML(), "here.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if d := same(c, back); d != "" {
		t.Error(d)
	}
	one := measurement()
	one.Ranks = 1
	if c, err = one.Cluster(); err != nil || len(c.Domains) != 1 || c.NodeSize != 1 {
		t.Errorf("one rank: %v, %v", c, err)
	}
}

func TestMeasurementThatFailed(t *testing.T) {
	for name, spoil := range map[string]func(m *Measurement){
		"device.memory":                 func(m *Measurement) { m.Memory = 0 },
		"device.peak":                   func(m *Measurement) { m.Peak = math.NaN() },
		"device.bandwidth":              func(m *Measurement) { m.Bandwidth = math.Inf(1) },
		"domains.scale-out.bandwidth":   func(m *Measurement) { m.Loopback.Bandwidth = 0 },
		"name":                          func(m *Measurement) { m.Name = "" },
		"device.efficiency.product = -": func(m *Measurement) { m.Product = -1 },
	} {
		m := measurement()
		spoil(m)
		if _, err := m.Cluster(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
