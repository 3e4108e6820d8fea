package advice

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/cluster/planner"
	"github.com/temper-ml/temper/model/arch"
)

// request asks for a built-in model on a cluster of the catalogue.
func request(t testing.TB, model, cluster string, devices, seq, batch int) planner.Request {
	t.Helper()
	a, err := arch.Builtin(model)
	if err != nil {
		t.Fatal(err)
	}
	c, err := hardware.Load(cluster)
	if err != nil {
		t.Fatal(err)
	}
	return planner.Request{Name: model, Model: a, Cluster: c, Devices: devices, Workload: costmodel.Workload{Seq: seq, GlobalBatch: batch}}
}

func find(t testing.TB, r planner.Request) *planner.Answer {
	t.Helper()
	a, err := planner.Search(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSmallest(t *testing.T) {
	for _, offload := range []string{"none", "optimizer"} {
		r := request(t, "qwen3-30b-a3b", "h100", 64, 4096, 64)
		r.Space.Offload = []string{offload}
		s, err := FindSmallest(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if s.Devices == 0 || s.Plan == nil || s.Least <= 0 {
			t.Fatalf("offload %s: %+v", offload, s)
		}
		t.Logf("offload %s: %d devices, tried %v", offload, s.Devices, s.Sizes)
		for _, size := range s.Sizes {
			if size.Devices < s.Devices && size.Fits || size.Devices == s.Devices && !size.Fits {
				t.Errorf("offload %s: smallest is %d, but %+v", offload, s.Devices, size)
			}
		}
	}
}

func TestSizesAreWholeNodes(t *testing.T) {
	got := sizes(8, 3, 40)
	if want := []int{4, 8, 16, 24, 32, 40}; !slices.Equal(got, want) {
		t.Errorf("sizes %v, want %v", got, want)
	}
	if many := sizes(8, 1, 1<<17); len(many) > 400 || !slices.IsSorted(many) {
		t.Errorf("%d sizes up to %d", len(many), 1<<17)
	}
}

func TestWhatWouldHelp(t *testing.T) {
	r := request(t, "qwen3-30b-a3b", "h100", 32, 4096, 128)
	a := find(t, r)
	fixes, err := WhatWouldHelp(context.Background(), r, a)
	if err != nil {
		t.Fatal(err)
	}
	last := math.Inf(1)
	for _, f := range fixes {
		if !f.Fits || f.Gain > last || f.Gain < -1e-12 && !strings.Contains(f.Name, "idle") {
			t.Errorf("%+v after a gain of %v", f, last)
		}
		last = f.Gain
		v := r
		v.Cluster = clone(r.Cluster)
		if f.Name != "twice the memory" {
			continue
		}
		v.Cluster.Device.Memory *= 2
		if best := find(t, v).Plans[0]; best.StepSeconds != f.StepSeconds {
			t.Errorf("%s: %v s, a search finds %v s", f.Name, f.StepSeconds, best.StepSeconds)
		}
	}
	if len(fixes) < 8 {
		t.Errorf("%d changes tried", len(fixes))
	}
}

func TestRounder(t *testing.T) {
	if got := rounder(2000, 16); !slices.Equal(got, []int{1920, 1792, 1664}) {
		t.Errorf("below 2000: %v", got)
	}
	if got := rounder(2048, 16); got != nil {
		t.Errorf("below 2048: %v, want none", got)
	}
}

func TestCompare(t *testing.T) {
	r := request(t, "llama3-70b", "h100", 64, 4096, 128)
	a := find(t, r)
	other, err := hardware.Load("h200")
	if err != nil {
		t.Fatal(err)
	}
	for _, basis := range []string{SameDevices, SamePower, SamePeak} {
		c, err := CompareWith(context.Background(), r, a, other, basis)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.Ratios["tokens_per_second_per_device"], c.Rate.PerDevice/c.Base.PerDevice; got != want || c.Rate.Devices%other.NodeSize != 0 {
			t.Errorf("equal %s: ratio %v, want %v; %d devices", basis, got, want, c.Rate.Devices)
		}
	}
	if _, err := CompareWith(context.Background(), r, a, other, "colour"); err == nil {
		t.Error("equal colour: no error")
	}
	// Equal peak: both are the same chip, so the same number.
	if n, err := Equivalent(r.Cluster, 64, other, SamePeak, "bf16"); err != nil || n != 64 {
		t.Errorf("h200 of equal peak: %d, %v", n, err)
	}
}

func TestAwkwardNumberOfDevices(t *testing.T) {
	r := request(t, "llama3-8b", "h100", 296, 4096, 64)
	a, err := SearchWithin(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Fits || a.Idle == 0 || a.Devices+a.Idle != r.Devices || a.Devices%r.Cluster.NodeSize != 0 || a.WhyIdle == "" {
		t.Errorf("fits %v on %d devices, %d idle because %q", a.Fits, a.Devices, a.Idle, a.WhyIdle)
	}
	r.Devices = 256
	if a, err = SearchWithin(context.Background(), r); err != nil || a.Idle != 0 {
		t.Errorf("on 256 devices %d idle, %v", a.Idle, err)
	}
}
