package linkbench

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMeasure(t *testing.T) {
	before := runtime.NumGoroutine()
	links, err := Measure(Options{Sizes: []int{1, 4096, 1 << 20}, Samples: 2, Time: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if len(links) != 2 || links[0].Name != "process" || links[1].Name != "loopback" {
		t.Fatalf("measured %+v", links)
	}
	for _, l := range links {
		if len(l.Points) != 3 || !(l.Latency > 1e-9 && l.Latency < 0.1) || !(l.Bandwidth > 1e6 && l.Bandwidth < 1e13) {
			t.Errorf("%+v makes no sense", l)
		}
		for _, p := range l.Points {
			if !(p.Seconds > 0 && p.Seconds <= p.Median) || p.Seconds < l.Latency {
				t.Errorf("%s: %+v makes no sense", l.Name, p)
			}
		}
		if last := l.Points[2]; last.Seconds <= l.Points[0].Seconds {
			t.Errorf("%s: a MiB takes %v s, a byte %v", l.Name, last.Seconds, l.Points[0].Seconds)
		}
	}
	for deadline := time.Now().Add(2 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left", runtime.NumGoroutine()-before)
		}
	}
}

func TestMeasureRefuses(t *testing.T) {
	for _, n := range []int{0, -1, 1<<30 + 1} {
		if _, err := Measure(Options{Sizes: []int{n}}); err == nil || !strings.Contains(err.Error(), "sizes must be from 1 to") {
			t.Errorf("size %d: %v", n, err)
		}
	}
}
