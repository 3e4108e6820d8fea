package audit

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// facts is a world with round numbers.
type facts struct{ perDevice Interval }

func (facts) Model(name string, _ int) (*Model, error) {
	n, active := 671e9, Interval{36.6e9, 37.6e9}
	if name == "deepseek-v4-pro" {
		n, active = 1.573e12, Interval{48.8e9, 49.8e9}
	}
	return &Model{Name: name, Parameters: Exactly(n), Active: active, FLOPsPerToken: Interval{2.4e11, 2.8e11}}, nil
}

func (facts) Hardware(name string) (*Hardware, error) {
	h := &Hardware{
		Name: name, Title: name, PerCard: 1, Peak: map[string]Interval{"bf16": Exactly(989e12), "fp8": Exactly(1979e12)},
		Memory: Exactly(80e9), Host: Exactly(200e9), Bandwidth: Exactly(3.35e12), Achievable: 0.8,
	}
	if strings.HasPrefix(name, "ascend") {
		h.PerCard, h.Peak = 2, map[string]Interval{"bf16": Exactly(354e12)}
	}
	return h, nil
}

func (f facts) Predict(_ context.Context, q Request) (*Prediction, error) {
	return &Prediction{Hardware: q.Hardware, Devices: q.Devices, Used: q.Devices, Fits: true, PerDevice: f.perDevice, Achieved: f.perDevice.Mul(Interval{2.4e11, 2.8e11}), Memory: 1, Capacity: 2}, nil
}

func report(t *testing.T, name string) *Report {
	t.Helper()
	c, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(context.Background(), c, facts{Interval{1200, 1800}}, "h100")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	return r
}

func verdicts(r *Report, verdict string) []string {
	var out []string
	for _, j := range r.Statements {
		if j.Verdict == verdict {
			out = append(out, j.ID)
		}
	}
	return out
}

// Fewer operations than the tokens need, whatever the formats and the
// utilisation: the contradiction names exactly the statements that make it.
func TestTooFast(t *testing.T) {
	r := report(t, "testdata/too-fast.yaml")
	want := []string{"model", "cluster", "tokens", "duration"}
	if got := verdicts(r, Inconsistent); !slices.Equal(got, want) || len(r.Contradictions) != 1 {
		t.Fatalf("inconsistent are %v, want %v: %+v", got, want, r.Contradictions)
	}
	// 14.75e12 × 2.4e11 operations over 64 × 10.5 d × 1979e12 × 0.8
	want2 := 14.75e12 * 2.4e11 / (64 * 10.5 * 86400 * 1979e12 * 0.8)
	if c := r.Contradictions[0]; len(c.Derivation) < 4 || !strings.Contains(c.Text, "factor of "+strings.TrimSpace(decimal3(want2))) {
		t.Errorf("want a factor of %v: %s\n%s", want2, c.Text, strings.Join(c.Derivation, "\n"))
	}
}

func decimal3(x float64) string { return strings.TrimSuffix(one(vMFU, x/100), " %") }

// 16-bit weights alone exceed the memory.
func TestTooLarge(t *testing.T) {
	r := report(t, "testdata/too-large.yaml")
	if got := verdicts(r, Inconsistent); len(got) != 4 || r.Holds() {
		t.Fatalf("inconsistent are %v: %s", got, r.Text())
	}
}

// What was published of DeepSeek-V3 holds together.
func TestPublishedRunIsConsistent(t *testing.T) {
	r := report(t, "deepseek-v3")
	if got := verdicts(r, Inconsistent); len(got) != 0 {
		t.Fatalf("inconsistent are %v", got)
	}
	if r.Predicted.Inside == nil || !*r.Predicted.Inside {
		t.Errorf("its speed is not placed inside the band: %s", r.Predicted.Placed)
	}
	for _, id := range []string{"model", "cluster", "tokens", "hours", "duration", "rate", "price", "cost"} {
		if !slices.Contains(verdicts(r, Consistent), id) {
			t.Errorf("%s is not consistent:\n%s", id, r.Text())
		}
	}
	if i := r.Implied["duration"].Interval; !(i.Lo < 54.2*86400 && 54.2*86400 < i.Hi) {
		t.Errorf("duration %v, want 54.2 days", i)
	}
}

// A speed far from the prediction is no contradiction.
func TestOutsideTheBandIsUndetermined(t *testing.T) {
	c, err := Load("consortium-2026-engineering")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		band    Interval
		verdict string
		inside  bool
	}{
		{Interval{100, 200}, Undetermined, false}, // 34.9 % of 354 TFLOP/s is 441 to 515 tokens/s of a device
		{Interval{400, 450}, Consistent, true},
	} {
		r, err := Run(context.Background(), c, facts{tc.band}, "h100")
		if err != nil {
			t.Fatal(err)
		}
		if !r.Holds() || !slices.Contains(verdicts(r, tc.verdict), "mfu") || r.Predicted.Inside == nil || *r.Predicted.Inside != tc.inside {
			t.Errorf("band %v: %s", tc.band, r.Text())
		}
	}
}

func TestAnnouncement(t *testing.T) {
	r := report(t, "consortium-2026")
	if !r.Holds() || len(r.Predicted.Runs) != 2 || len(r.Predicted.Compare) != 1 {
		t.Errorf("want both readings of the number of cards:\n%s", r.Text())
	}
	for _, topic := range []string{"benchmark", "timeline", "utilisation", "software", "interconnect"} {
		if !slices.Contains(r.Missing, topic) {
			t.Errorf("%s is not missing", topic)
		}
	}
	if !slices.Contains(verdicts(r, Undetermined), "relative") {
		t.Error("what inference reaches cannot be decided here")
	}
}

func TestRefusals(t *testing.T) {
	head := "name: x\nsource: s\nstatements:\n  - id: a\n    text: t\n    "
	for _, c := range []struct{ line, want string }{
		{"duration: 54", "x.yaml:6:15: statements[0].duration"},
		{"duration: -3 d", "x.yaml:6:15: statements[0].duration"},
		{"mfu: .nan", "x.yaml:6:10: statements[0].mfu"},
		{"mfu: 0.4", "the unit is missing"},
		{"achieved: 400 TFLOPS", "x.yaml:6:15: statements[0].achieved"},
		{"tokens_per_second: 3 M", "the unit is missing: tokens/s"},
		{"tokens: .inf", "statements[0].tokens"},
		{"tokens: 0", "must be positive"},
		{"tokens: 1e400", "larger than the largest"},
		{"steps: 1.5", "whole number"},
		{"duration: 3 to 2 d", "a range ascend"},
		{"duration: 3 parsec", `unit "parsec" is unknown`},
		{"method: magic", "none of full-parameter, adapter"},
		{"relative_performance: 60 %", "against what is missing"},
		{"discloses: {colour: red}", "topic \"colour\""},
		{"speed: 3", "unknown field"},
		{"tokens: [1, 2]", "x.yaml"},
	} {
		_, err := Decode([]byte(head+c.line+"\n"), "x.yaml")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.line, err, c.want)
		}
	}
}

// The template is a legal claim that holds together and names every field.
func TestTemplate(t *testing.T) {
	c, err := Decode([]byte(Template), "template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(context.Background(), c, facts{Interval{1200, 1800}}, "h100")
	if err != nil || !r.Holds() {
		t.Fatalf("%v\n%s", err, r.Text())
	}
	for _, of := range []reflect.Type{reflect.TypeFor[Claim](), reflect.TypeFor[Statement]()} {
		for i := range of.NumField() {
			if key := of.Field(i).Tag.Get("yaml"); !strings.Contains(Template, key+":") {
				t.Errorf("%s is not in the template", key)
			}
		}
	}
	for _, topic := range topicNames() {
		if !strings.Contains(Template, "      "+topic+": ") {
			t.Errorf("topic %s is not in the template", topic)
		}
	}
}

// A utilisation that step time, batch and devices of the same claim contradict.
func TestImpossibleUtilisation(t *testing.T) {
	r := report(t, "testdata/impossible-mfu.yaml")
	want := []string{"model", "hardware", "step", "mfu"}
	if got := verdicts(r, Inconsistent); !slices.Equal(got, want) || len(r.Contradictions) != 1 {
		t.Fatalf("inconsistent are %v, want %v:\n%s", got, want, r.Text())
	}
	// 4.2 M tokens × 2.8e11 in 26.5 s on 2000 devices are at most 22 TFLOP/s; 45 % of 354 are 158.
	if c := r.Contradictions[0]; !strings.Contains(strings.Join(c.Derivation, "\n"), "TFLOP/s") || !strings.Contains(c.Text, "a factor of") {
		t.Errorf("%s\n%s", c.Text, strings.Join(c.Derivation, "\n"))
	}
	if !slices.Equal(verdicts(r, Undetermined), []string{"praise"}) {
		t.Errorf("undetermined are %v", verdicts(r, Undetermined))
	}
}

func TestMFUAboveOneIsRefused(t *testing.T) {
	c, err := Decode([]byte("name: x\nsource: s\nstatements:\n  - {id: a, text: t, mfu: 120 %}\n"), "x")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Run(context.Background(), c, facts{}, "h100"); err != nil || r.Holds() {
		t.Errorf("%v %+v", err, r)
	}
}

func TestQuantities(t *testing.T) {
	for _, c := range []struct {
		k      *kind
		text   string
		lo, hi float64
	}{
		{counted, "14.8 T", 14.75e12, 14.85e12},
		{counted, "= 14.8 T", 14.8e12, 14.8e12},
		{devices, "at least 1,000 cards", 1000, math.Inf(1)},
		{share, "about 60 %", 0.54, 0.66},
		{share, "under 10 %", 0, 0.1},
		{hours, "2.664 M h", 2.6635e6 * 3600, 2.6645e6 * 3600},
		{seconds, "2 to 3 d", 1.5 * 86400, 3.5 * 86400},
		{byteSize, "16 B", 15.5, 16.5},
		{flops, "400 TFLOP/s", 399.5e12, 400.5e12},
		{rate, "1.5 K tokens/s", 1450, 1550},
		{hoursPerT, "= 200 K h", 1e12 / (200e3 * 3600), 1e12 / (200e3 * 3600)},
		{timePerT, "under 4 d", 1e12 / (4 * 86400), math.Inf(1)},
		{timePerT, "at least 4 d", 0, 1e12 / (4 * 86400)},
	} {
		got, _, err := c.k.parse(c.text)
		if want := (Interval{c.lo, c.hi}); err != nil || !got.Contains(want) || !want.Contains(got) {
			t.Errorf("%s: %v %v, want %v", c.text, got, err, want)
		}
	}
}

// Members' results lie in the results of intervals.
func TestIntervalsAgainstSampling(t *testing.T) {
	draw := func(t *rapid.T, name string) (Interval, float64) {
		lo := rapid.SampledFrom([]float64{0, 1e-300, 0.3, 1, 7e11}).Draw(t, name+" low")
		hi := rapid.SampledFrom([]float64{lo, lo*3 + 1, math.Inf(1)}).Draw(t, name+" high")
		x := lo + float64(rapid.Float64Range(0, 1).Draw(t, name)*(min(hi, 1e300)-lo))
		return Interval{lo, hi}, min(max(x, lo), hi)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, x := draw(t, "a")
		b, y := draw(t, "b")
		if p, i := x*y, a.Mul(b); !(i.Lo <= p && p <= i.Hi) {
			t.Fatalf("%v × %v = %v does not hold %v × %v", a, b, i, x, y)
		}
		if q, i := x/y, a.Div(b); y > 0 && !(i.Lo <= q && q <= i.Hi) {
			t.Fatalf("%v / %v = %v does not hold %v / %v", a, b, i, x, y)
		}
	})
}

// Whatever true values a claim's intervals are drawn around, none is cut off and
// nothing contradicts.
func TestTruthIsNeverRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		positive := rapid.Float64Range(1e-3, 1e6)
		var truth [variables]float64
		for v := range variables {
			truth[v] = 1
		}
		truth[vSteps], truth[vBatch], truth[vStepTime] = positive.Draw(t, "steps"), positive.Draw(t, "batch"), positive.Draw(t, "step")
		truth[vFLOPsPerToken], truth[vDevices], truth[vGoodput] = positive.Draw(t, "flops"), positive.Draw(t, "devices"), positive.Draw(t, "goodput")
		truth[vTokens] = truth[vSteps] * truth[vBatch]
		truth[vBusy] = truth[vSteps] * truth[vStepTime]
		truth[vDuration] = truth[vBusy] / truth[vGoodput]
		truth[vDeviceTime] = truth[vDevices] * truth[vDuration]
		truth[vBusyTime] = truth[vDevices] * truth[vBusy]
		truth[vOperations] = truth[vTokens] * truth[vFLOPsPerToken]
		truth[vRate] = truth[vOperations] / truth[vBusyTime]
		truth[vPeak], truth[vMFU] = truth[vRate]*2, 0.5
		truth[vTokenRate], truth[vMeanRate] = truth[vTokens]/truth[vBusyTime], truth[vTokens]/truth[vDeviceTime]
		known := []variable{
			vSteps, vBatch, vStepTime, vFLOPsPerToken, vDevices, vGoodput, vTokens, vBusy, vDuration,
			vDeviceTime, vBusyTime, vOperations, vRate, vPeak, vMFU, vTokenRate, vMeanRate,
		}
		var givens []given
		for _, v := range known {
			w := rapid.SampledFrom([]float64{1, 1.5, math.Inf(1)}).Draw(t, info[v].name)
			givens = append(givens, given{v, Interval{truth[v] / w, truth[v] * w}, 0, "said", false})
		}
		s, clash := solve(givens, 0)
		if clash >= 0 {
			t.Fatalf("%s is empty", info[clash].name)
		}
		for _, v := range known {
			if !s.get(v).Contains(Exactly(truth[v])) {
				t.Fatalf("%s = %v is cut off: %v", info[v].name, truth[v], s.get(v))
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(Template))
	f.Add([]byte("name: x\nsource: s\nstatements:\n  - {id: a, text: t, mfu: 40 %, tokens: > 1 T}\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := Decode(src, "x")
		if err != nil {
			return
		}
		if r, err := Run(context.Background(), c, facts{Interval{1, 2}}, "h100"); err == nil {
			if _, err := json.Marshal(r); err != nil {
				t.Fatal(err)
			}
			_ = r.Text()
			if err := r.HTML(io.Discard); err != nil {
				t.Fatal(err)
			}
		}
	})
}
