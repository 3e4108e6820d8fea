package promtext

import (
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	x := New()
	b := Buckets{Bounds: []float64{0.5, 2}}
	for _, v := range []float64{0.25, 1, 1, 4} {
		b.Add(v)
	}
	x.Put("a_total", Counter, "Help\nme.", 3, "name", "x\"y\\")
	x.PutBuckets("t_seconds", "Time.", &b, "at", "z")
	x.PutBuckets("t_seconds", "Time.", &Buckets{Bounds: []float64{1}}, "at", "none")
	x.Put("g", Gauge, "Now.", 0.1)
	x.Put("a_total", Counter, "", 4, "name", "z")
	var out strings.Builder
	if err := x.Write(&out); err != nil {
		t.Fatal(err)
	}
	const want = `# HELP a_total Help\nme.
# TYPE a_total counter
a_total{name="x\"y\\"} 3
a_total{name="z"} 4
# HELP t_seconds Time.
# TYPE t_seconds histogram
t_seconds_bucket{at="z",le="0.5"} 1
t_seconds_bucket{at="z",le="2"} 3
t_seconds_bucket{at="z",le="+Inf"} 4
t_seconds_sum{at="z"} 6.25
t_seconds_count{at="z"} 4
t_seconds_bucket{at="none",le="1"} 0
t_seconds_bucket{at="none",le="+Inf"} 0
t_seconds_sum{at="none"} 0
t_seconds_count{at="none"} 0
# HELP g Now.
# TYPE g gauge
g{} 0.1
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
	x.Put("g", Gauge, "", 1)
	if err := x.Write(&out); err == nil || !strings.Contains(err.Error(), "two values for g{}") {
		t.Error(err)
	}
}
