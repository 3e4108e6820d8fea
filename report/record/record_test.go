package record_test

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/temper-ml/temper/report/record"
)

type sample struct {
	Z bool               `json:"z"`
	A int64              `json:"a,omitempty"`
	F float64            `json:"f"`
	S string             `json:"s"`
	M map[string]float64 `json:"m"`
	L []int              `json:"l"`
	P *float64           `json:"p,omitempty"`
}

func TestOneTextForAValue(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{sample{}, `{"f":0,"l":[],"m":{},"s":"","z":false}`},
		{
			sample{Z: true, A: -3, F: math.Inf(-1), S: "a\"\\\n\x01/é\u2028<", M: map[string]float64{"b": 1, "a": math.NaN(), "": 1e21}, L: []int{1, 2}, P: new(float64)},
			`{"a":-3,"f":"-Inf","l":[1,2],"m":{"":1e+21,"a":"NaN","b":1},"p":0,"s":"a\"\\\n\u0001/é` + "\u2028" + `<","z":true}`,
		},
		{math.Copysign(0, -1), "-0"},
		{1e6, "1e+06"},
		{250000.0, "250000"},
		{1e-5, "1e-05"},
		{0.0001, "0.0001"},
		{2.5e11, "2.5e+11"},
		{math.MaxFloat64, "1.7976931348623157e+308"},
		{5e-324, "5e-324"},
		{uint64(math.MaxUint64), "18446744073709551615"},
		{int64(math.MinInt64), "-9223372036854775808"},
	} {
		got, err := record.Marshal(c.v)
		if err != nil || string(got) != c.want {
			t.Errorf("got %s, want %s (%v)", got, c.want, err)
			continue
		}
		back := reflect.New(reflect.TypeOf(c.v))
		if err := record.Unmarshal(got, back.Interface()); err != nil {
			t.Errorf("%s: %v", got, err)
		}
		again, err := record.Marshal(back.Elem().Interface())
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("%s came back as %s (%v)", got, again, err)
		}
		if err := record.Check(got); err != nil {
			t.Errorf("check %s: %v", got, err)
		}
	}
}

func TestMarshalRefuses(t *testing.T) {
	var deep any
	for range 40 {
		deep = []any{deep}
	}
	for want, v := range map[string]any{
		"is not UTF-8":            "\xff",
		"deeper than 32":          deep,
		"has no canonical bytes":  func() {},
		"at most 1048576":         strings.Repeat("x", record.MaxSize),
		"keys must be strings":    map[int]int{},
		"has no json tag":         struct{ A int }{},
		"raw value: [0]: byte 1":  record.Raw("[ ]"),
		"raw value: byte 0: the ": record.Raw(""),
	} {
		if b, err := record.Append([]byte("keep"), v); err == nil || !strings.Contains(err.Error(), want) || string(b) != "keep" {
			t.Errorf("got %.40s, %v, want %q", b, err, want)
		}
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	good := `{"f":1.5,"l":[1],"m":{"a":1},"s":"x","z":true}`
	var s sample
	if err := record.Unmarshal([]byte(good), &s); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, with, want string }{
		{`{"f"`, ` {"f"`, "insignificant space"},
		{`true}`, `true}x`, "after the end"},
		{`true}`, `true`, `the text ends, want ','`},
		{`1.5`, `1.50`, `f: byte 5: number "1.50" is not canonical, want 1.5`},
		{`1.5`, `1.5e0`, "want 1.5"},
		{`1.5`, `1e999`, `want "+Inf"`},
		{`1.5`, `01`, "want 1"},
		{`1.5`, `0x1p3`, "byte 6: 'x', want ','"},
		{`1.5`, `1e6`, "want 1e+06"},
		{`1.5`, `1000000`, "want 1e+06"},
		{`1.5`, `--1`, "no number"},
		{`1.5`, `null`, "want a number"},
		{`[1]`, `[01]`, "l[0]: byte 14"},
		{`[1]`, `[-0]`, "no canonical integer"},
		{`[1]`, `[1.0]`, "no canonical integer"},
		{`[1]`, `[99999999999999999999]`, "no canonical integer of 64 bits"},
		{`[1]`, `[1,]`, "want a number"},
		{`[1]`, `null`, "want '['"},
		{`"a":1`, `"b":1,"a":1`, "sorted by the bytes"},
		{`"a":1`, `"a":1,"a":1`, "there twice"},
		{`"z":true`, `"y":1,"z":true`, `member "y" is unknown`},
		{`,"z":true`, ``, `member "z" is missing`},
		{`"l":[1],`, ``, `member "l" is missing`},
		{`{"f"`, `{"a":0,"f"`, "empty value is not canonical"},
		{`{"f"`, `{"F":1,"f"`, `member "F" is unknown`},
		{`"x"`, `"\u0078"`, "escape is not canonical"},
		{`"x"`, `"\/"`, "escape is not canonical"},
		{`"x"`, `"\u000a"`, "escape is not canonical"},
		{`"x"`, `"\u001F"`, "escape is not canonical"},
		{`"x"`, "\"\xff\"", "not UTF-8"},
		{`"x"`, "\"\n\"", "control character 0x0a"},
		{`"x","z":true}`, `"x`, "not closed"},
		{`true`, `1`, "true or false"},
	} {
		text := strings.Replace(good, c.old, c.with, 1)
		err := record.Unmarshal([]byte(text), &s)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", text, err, c.want)
		}
	}
	if err := record.Check([]byte(strings.Repeat("[", 1000))); err == nil || !strings.Contains(err.Error(), "deeper than 32") {
		t.Errorf("deep: %v", err)
	}
	if err := record.Check(bytes.Repeat([]byte("1"), record.MaxSize+1)); err == nil || !strings.Contains(err.Error(), "at most 1048576") {
		t.Errorf("long: %v", err)
	}
	if err := record.Unmarshal([]byte("1"), 1); err == nil {
		t.Error("read into a number")
	}
}

// Floats of any bits survive, each by a text of its own.
func TestFloatsSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
		b, err := record.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var g float64
		if err := record.Unmarshal(b, &g); err != nil {
			t.Fatal(err)
		}
		if math.Float64bits(f) != math.Float64bits(g) && !(math.IsNaN(f) && math.IsNaN(g)) {
			t.Fatalf("%x came back as %x", f, g)
		}
	})
}

// step is a step of a model with 61 layers.
func step() *record.Step {
	table := make([][]int64, 58)
	for i := range table {
		table[i] = make([]int64, 256)
		for j := range table[i] {
			table[i][j] = int64(10000 + 37*((i*j)%97) + 50000*((i+j)%200/199))
		}
	}
	sum := record.SHA256([]byte("state"))
	energy := 1234.5678
	return &record.Step{
		Stage: 1, Step: 123456, Examples: 15360, Tokens: 62914560, Supervised: 52914560, Batch: record.SHA256(nil),
		Losses:   map[string]float64{"lm": 1.2345678901234567, "mtp": 2.3456789012345678, "balance": 1.0123456789012346},
		GradNorm: 0.12345678901234568, LR: 2.2345678901234567e-5, Load: record.NewLoad(table),
		Bias: record.SHA256(nil), Parameters: sum, Optimizer: sum,
		Time:  record.Split{Wall: 123456789012, Data: 1234567890, Model: 100000000000, Communication: 12222221122, Bubble: 5000000000, Optimizer: 5000000000},
		FLOPs: 1.5753805824e19, MFU: 0.4123456789012346, Convention: "temper", Memory: 85899345920, Energy: &energy,
	}
}

func TestEntryOfALargeModelIsSmall(t *testing.T) {
	s := step()
	s.Energy = nil // few machines tell
	b, err := record.Marshal(record.NewEntry(123456, 1784868623648, s))
	t.Logf("%d bytes: %s", len(b), b)
	if err != nil || len(b) >= 1000 {
		t.Errorf("%d bytes (%v)", len(b), err)
	}
}

func TestEntriesComeBack(t *testing.T) {
	one := 1.5
	for _, body := range []record.Body{
		&record.Begin{Total: 10, Active: 5}, stage(), &record.Stage{Name: "sft", Steps: 3}, step(), routing(), times(),
		&record.Checkpoint{Path: "checkpoints/00-sft/3", Took: 1}, &record.Fault{Fault: "link", Rank: 2}, &record.Recovery{Again: 3, Host: &record.Host{Features: []string{}}, Devices: manifest().Devices},
		&record.Recovery{Cause: "x"}, &record.Resume{Host: record.Host{Features: []string{}}, Devices: manifest().Devices},
		&record.Ranks{Ranks: 2, Mesh: record.Mesh{Tensor: 1, Pipeline: 2, Context: 1, Expert: 1, Data: 1}, Joined: []int{1}, Left: []int{}},
		&record.Ranks{Ranks: 1, Mesh: record.One(), Joined: []int{}, Left: []int{}, Devices: manifest().Devices},
		&record.Evaluation{HeldOut: &record.HeldOut{Loss: 1, Tokens: 2}, Suites: map[string]record.Score{"a": {Right: 1, Total: 2}}},
		&record.Evaluation{Metrics: map[string]record.Metric{"a/sum": {Value: 0.5, Count: 2, Interval: []float64{0.25, one}}, "a/loss": {Value: one, Count: 1}}, Suites: map[string]record.Score{"a": {Kind: "choice/sum", Right: 1, Total: 2}}},
		&record.Rollout{Batch: record.SHA256(nil), Reward: 0.5}, rollout(), &record.Pause{Reason: "asked"},
		&record.Resume{Host: record.Host{Features: []string{"avx2"}}}, &record.Note{Text: "é\n"},
		&record.End{Status: "complete", Export: map[string]record.Digest{"config.json": record.SHA256(nil)}},
		&record.Step{Losses: map[string]float64{"lm": one}, Energy: &one, Skipped: "loss is NaN"},
	} {
		want := record.NewEntry(1, 2, body)
		b, err := record.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got record.Entry
		if err := record.Unmarshal(b, &got); err != nil {
			t.Errorf("%s: %v", b, err)
			continue
		}
		if d := cmp.Diff(*want, got); d != "" {
			t.Errorf("%s: %s", body.Kind(), d)
		}
	}
	if n := len(record.Kinds()); n != 15 {
		t.Errorf("%d kinds, 15 are tested", n)
	}
}

func rollout() *record.Rollout {
	return &record.Rollout{
		Step: 8, Round: 4, First: 64, Prompts: 16, Batch: record.SHA256(nil), Generations: 128, Tokens: 4096, Longest: 256, Truncated: 3, Failed: 1,
		Trained: 8000, Policy: record.SHA256(nil), Reward: 0.25, Rules: map[string]float64{"answer": 0.25, "form": 1}, Took: 7,
	}
}

func TestRolloutsRefused(t *testing.T) {
	for want, change := range map[string]func(*record.Rollout){
		"step -1":            func(r *record.Rollout) { r.Step = -1 },
		"round: -1":          func(r *record.Rollout) { r.Round = -1 },
		"first: -1":          func(r *record.Rollout) { r.First = -1 },
		"longest: 4097 of":   func(r *record.Rollout) { r.Longest = 4097 },
		"truncated: 129 of":  func(r *record.Rollout) { r.Truncated = 129 },
		"failed: 129 of 128": func(r *record.Rollout) { r.Failed = 129 },
		"trained: -1":        func(r *record.Rollout) { r.Trained = -1 },
		"policy: digest":     func(r *record.Rollout) { r.Policy = "sha256:" },
		"took: -1":           func(r *record.Rollout) { r.Took = -1 },
	} {
		r := rollout()
		change(r)
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestEntriesRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"body":{"text":"x"},"index":0,"kind":"note","time":0}`, "index: 0"},
		{`{"body":{"text":"x"},"index":1,"kind":"note","time":-1}`, "time: -1"},
		{`{"body":{"text":"x"},"index":1,"kind":"nota","time":1}`, `kind: "nota" is unknown`},
		{`{"body":{"txt":"x"},"index":1,"kind":"note","time":1}`, `body: byte 9: member "text" is missing`},
		{`{"body":{"text":"x"},"index":1,"kind":"end","time":1}`, `body: byte 9`},
		{`{"body":null,"index":1,"kind":"note","time":1}`, `body: byte 8`},
		{`{"body":{"reason":"","stage":-1,"step":0},"index":1,"kind":"pause","time":1}`, "pause: stage -1"},
	} {
		var e record.Entry
		if err := record.Unmarshal([]byte(c.text), &e); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.text, err, c.want)
		}
	}
	for want, change := range map[string]func(*record.Step){
		"supervised":          func(s *record.Step) { s.Supervised = s.Tokens + 1 },
		"wall is":             func(s *record.Step) { s.Time.Wall++ },
		"exceed wall by 1 ns": func(s *record.Step) { s.Time.Wall-- },
		"model: -1 ns":        func(s *record.Step) { s.Time.Model = -1 },
		"energy":              func(s *record.Step) { *s.Energy = math.NaN() },
		"load.table":          func(s *record.Step) { s.Load.Table = "md5:00" },
		"batch: digest":       func(s *record.Step) { s.Batch = "sha256:00" },
		"optimizer: digest":   func(s *record.Step) { s.Optimizer = record.Digest(strings.ToUpper(string(s.Batch))) },
	} {
		s := step()
		change(s)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// manifest is a small valid manifest.
func manifest() *record.Manifest {
	return &record.Manifest{
		Format: record.Format, Run: "r", Recipe: "name: r\n", Seed: math.MaxUint64, Started: 1784868623648,
		Architecture: "{}", Precision: record.Precision{Parameters: "fp32", Linear: "bf16", Attention: "bf16", Communication: "fp32"}, Model: map[string]record.Digest{}, Data: []record.File{},
		Program: record.Program{Modules: map[string]string{}, Build: map[string]string{}},
		Hosts:   []record.Host{{Features: []string{}}}, Ranks: 1, Mesh: record.One(), Links: []record.Link{},
		Devices: []record.Device{{Ranks: []int{0}, Path: "avx2", Threads: 2, Peak: map[string]float64{"f32": 1e11}}}, Clock: "system", Signer: "temper+0+0",
	}
}

func TestManifest(t *testing.T) {
	b, err := record.Marshal(manifest())
	if err != nil {
		t.Fatal(err)
	}
	var back record.Manifest
	if err := record.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if err := back.Check(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(*manifest(), back); d != "" {
		t.Error(d)
	}
	for want, change := range map[string]func(*record.Manifest){
		`format: "temper-record/2"`:            func(m *record.Manifest) { m.Format = "temper-record/2" },
		"started: -1 ms":                       func(m *record.Manifest) { m.Started = -1 },
		"ranks: 0":                             func(m *record.Manifest) { m.Ranks = 0 },
		"digest_period: -1":                    func(m *record.Manifest) { m.DigestPeriod = -1 },
		"signer":                               func(m *record.Manifest) { m.Signer = "" },
		`model: "w"`:                           func(m *record.Manifest) { m.Model["w"] = "x" },
		"data[0]: bytes: -1":                   func(m *record.Manifest) { m.Data = []record.File{{Bytes: -1}} },
		"devices[0]: host 1 of 1":              func(m *record.Manifest) { m.Devices[0].Host = 1 },
		"is not 4 ranks":                       func(m *record.Manifest) { m.Ranks = 4 },
		"expert 3 does not divide":             func(m *record.Manifest) { m.Mesh.Expert = 3 },
		"mesh: an axis of 9223372036854775807": func(m *record.Manifest) { m.Mesh.Data = math.MaxInt64 },
		"tokenizer: digest":                    func(m *record.Manifest) { m.Tokenizer = "x" },
	} {
		m := manifest()
		change(m)
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestDigest(t *testing.T) {
	if d := record.SHA256(nil); d != "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" || d.Check() != nil {
		t.Errorf("empty: %s, %v", d, d.Check())
	}
	if _, err := record.NewDigest("sum512", make([]byte, 64)); err != nil {
		t.Error(err)
	}
	if _, err := record.NewDigest("sum512", make([]byte, 63)); err == nil {
		t.Error("short sum accepted")
	}
	if d := record.NewLoad([][]int64{{3, 1}, {0, 0}}); d.Max != 0.5 || d.Mean != 0.25 || d.Block != 0 || d.Table != record.SHA256([]byte("[[3,1],[0,0]]")) {
		t.Errorf("load: %+v", d)
	}
}

// Whatever is accepted is what Marshal writes.
func FuzzEntry(f *testing.F) {
	for _, body := range []record.Body{step(), stage(), routing(), times(), &record.Note{Text: "x"}, &record.End{Status: "failed"}} {
		b, _ := record.Marshal(record.NewEntry(1, 2, body))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = record.Check(b)
		var e record.Entry
		if record.Unmarshal(b, &e) != nil {
			return
		}
		if again, err := record.Marshal(&e); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q came back as %q (%v)", b, again, err)
		}
	})
}

func FuzzManifest(f *testing.F) {
	b, _ := record.Marshal(manifest())
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m record.Manifest
		if record.Unmarshal(b, &m) != nil || m.Check() != nil {
			return
		}
		if again, err := record.Marshal(&m); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q came back as %q (%v)", b, again, err)
		}
	})
}

func BenchmarkMarshalStep(b *testing.B) {
	e := record.NewEntry(1, 2, step())
	buf := make([]byte, 0, 4096)
	for b.Loop() {
		if _, err := record.Append(buf, e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnmarshalStep(b *testing.B) {
	text, _ := record.Marshal(record.NewEntry(1, 2, step()))
	for b.Loop() {
		var e record.Entry
		if err := record.Unmarshal(text, &e); err != nil {
			b.Fatal(err)
		}
	}
}

// A kind named inside the body, or after it, does not decide which body is read.
func TestKindIsThatOfTheEntry(t *testing.T) {
	for text, good := range map[string]bool{
		`{"body":{"text":",\"kind\":\"step\",\"time\":1}"},"index":1,"kind":"note","time":1}`: true,
		`{"body":{"text":"a"},"index":1,"kind":"note","time":1,"kind":"note","time":1}`:       false,
		`{"body":{"text":"a"},"index":1,"kind":"pause","time":1}`:                             false,
		`{"body":{"text":"a"},"index":1,"kind":"note","kind":"note","time":1}`:                false,
		`{"body":{"text":"a"},"index":01,"kind":"note","time":1}`:                             false,
		`{"body":{"text":"a"},"index":1,"kind":"note","time":1} `:                             false,
	} {
		var e record.Entry
		if err := record.Unmarshal([]byte(text), &e); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}
