package record_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/temper-ml/temper/report/record"
)

// stage is a stage with everything that one can have.
func stage() *record.Stage {
	return &record.Stage{
		Stage: 1, Name: "sft", Method: "sft", From: 2, Steps: 30, Rows: 100, HeldOut: 10, Data: record.SHA256(nil), Order: record.SHA256(nil),
		Tokens: 9000, Supervised: 4000, Batch: 10, Micro: 4, Accumulation: 3, Sequence: 128, Optimizer: "muon",
		LR: record.Schedule{Kind: "wsd", Peak: 1e-3, Final: 1e-5, Warmup: 5, Decay: 10}, MTP: true, Indexer: true,
	}
}

func routing() *record.Routing {
	return &record.Routing{Stage: 1, From: 2, To: 4, Counts: [][]int64{{3, 0}, {1, 2}}}
}

func times() *record.Times {
	return &record.Times{Stage: 1, From: 2, To: 4, Ranks: []record.RankTime{
		{Rank: 0, Split: record.Split{Wall: 5, Model: 3, Other: 2}}, {Rank: 7, Split: record.Split{Wall: 5, Communication: 5}},
	}}
}

// The bytes are what the format's description says, written by hand.
func TestTextOfStages(t *testing.T) {
	const empty = `"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`
	for _, c := range []struct {
		body record.Body
		want string
	}{
		{stage(), `{"accumulation":3,"batch":10,"data":` + empty + `,"from":2,"held_out":10,"indexer":true,` +
			`"lr":{"decay":10,"final":1e-05,"kind":"wsd","peak":0.001,"warmup":5},"method":"sft","micro":4,"mtp":true,"name":"sft",` +
			`"optimizer":"muon","order":` + empty + `,"rows":100,"sequence":128,"stage":1,"steps":30,"supervised":4000,"tokens":9000}`},
		{&record.Stage{Name: "a", Steps: 1}, `{"from":0,"lr":{},"method":"","name":"a","rows":0,"stage":0,"steps":1}`},
		{&record.Stage{Name: "a", Steps: 1, Reference: record.SHA256(nil)}, `{"from":0,"lr":{},"method":"","name":"a","reference":` + empty + `,"rows":0,"stage":0,"steps":1}`},
		{&record.Stage{Name: "a", Steps: 1, Teachers: map[string]record.Digest{"y": record.SHA256(nil), "x": record.SHA256(nil)}}, `{"from":0,"lr":{},"method":"","name":"a","rows":0,"stage":0,"steps":1,"teachers":{"x":` + empty + `,"y":` + empty + `}}`},
		{routing(), `{"counts":[[3,0],[1,2]],"from":2,"stage":1,"to":4}`},
		{times(), `{"from":2,"ranks":[{"rank":0,"split":{"model":3,"other":2,"wall":5}},{"rank":7,"split":{"communication":5,"wall":5}}],"stage":1,"to":4}`},
	} {
		got, err := record.Marshal(c.body)
		if err != nil || string(got) != c.want {
			t.Errorf("got  %s (%v)\nwant %s", got, err, c.want)
		}
	}
}

func TestStagesRefused(t *testing.T) {
	for want, change := range map[string]func(*record.Stage){
		"from: step 31 of 30":                   func(s *record.Stage) { s.From = 31 },
		"stage -1":                              func(s *record.Stage) { s.Stage = -1 },
		"rows: -1":                              func(s *record.Stage) { s.Rows = -1 },
		"held_out: -1":                          func(s *record.Stage) { s.HeldOut = -1 },
		"supervised: 9001 of 9000 tokens":       func(s *record.Stage) { s.Supervised = 9001 },
		"micro: 11 rows":                        func(s *record.Stage) { s.Micro = 11 },
		"micro: -1":                             func(s *record.Stage) { s.Micro = -1 },
		"accumulation: 11":                      func(s *record.Stage) { s.Accumulation = 11 },
		"2 micro-batches of 4 rows do not hold": func(s *record.Stage) { s.Accumulation = 2 },
		"sequence: -1":                          func(s *record.Stage) { s.Sequence = -1 },
		"data: digest":                          func(s *record.Stage) { s.Data = "sha256:" },
		"round: -1":                             func(s *record.Stage) { s.Round = -1 },
		"anchor: digest":                        func(s *record.Stage) { s.Anchor = "sha256:" },
		"reference: digest":                     func(s *record.Stage) { s.Reference = "sha256:" },
		`teachers: "x" has digest ""`:           func(s *record.Stage) { s.Teachers = map[string]record.Digest{"x": ""} },
		`teachers: "" has`:                      func(s *record.Stage) { s.Teachers = map[string]record.Digest{"": record.SHA256(nil)} },
		`teachers: "x" has digest "sha256:"`:    func(s *record.Stage) { s.Teachers = map[string]record.Digest{"x": "sha256:"} },
		`lr: kind: "step" is unknown`:           func(s *record.Stage) { s.LR.Kind = "step" },
		"lr: kind: missing":                     func(s *record.Stage) { s.LR.Kind = "" },
		"lr: peak: NaN":                         func(s *record.Stage) { s.LR.Peak = math.NaN() },
		"lr: peak: +Inf":                        func(s *record.Stage) { s.LR.Peak = math.Inf(1) },
		"lr: final: 1":                          func(s *record.Stage) { s.LR.Final = 1 },
		"lr: warmup: 31":                        func(s *record.Stage) { s.LR.Warmup = 31 },
		"lr: decay: 26":                         func(s *record.Stage) { s.LR.Decay = 26 },
		"lr: decay: -1":                         func(s *record.Stage) { s.LR.Decay = -1 },
		"lr: decay: 9223372036854775807":        func(s *record.Stage) { s.LR.Decay = math.MaxInt64 },
		"accumulation: 1 micro-batches of 1":    func(s *record.Stage) { s.Batch, s.Micro, s.Accumulation = math.MaxInt64, 1, 1 },
	} {
		s := stage()
		change(s)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := stage().Check(); err != nil {
		t.Error(err)
	}
}

func TestRoutingAndTimesRefused(t *testing.T) {
	for want, change := range map[string]func(*record.Routing, *record.Times){
		"counts[1][0]: -1":         func(r *record.Routing, _ *record.Times) { r.Counts[1][0] = -1 },
		"from: step 5 to 4":        func(r *record.Routing, _ *record.Times) { r.From = 5 },
		"step -1":                  func(r *record.Routing, _ *record.Times) { r.From = -1 },
		"stage -1":                 func(_ *record.Routing, t *record.Times) { t.Stage = -1 },
		"ranks[1]: rank 0 after 0": func(_ *record.Routing, t *record.Times) { t.Ranks[1].Rank = 0 },
		"ranks[0]: rank -1":        func(_ *record.Routing, t *record.Times) { t.Ranks[0].Rank = -1 },
		"ranks[1]: parts add up to 4 ns, wall is 5 ns": func(_ *record.Routing, t *record.Times) { t.Ranks[1].Split.Communication = 4 },
	} {
		r, ti := routing(), times()
		change(r, ti)
		if err := fmt.Errorf("%w, %w", or(r.Check()), or(ti.Check())); !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func or(err error) error {
	if err == nil {
		return fmt.Errorf("none")
	}
	return err
}

// What the largest models and clusters say of themselves fits into one value.
func TestLargestRunsFit(t *testing.T) {
	m := manifest()
	features := []string{}
	for i := range 60 {
		features = append(features, fmt.Sprintf("feature_%d", i))
	}
	m.Hosts, m.Devices, m.Ranks, m.Mesh = nil, nil, 2048, record.Mesh{Tensor: 8, Pipeline: 16, Context: 1, Expert: 64, Data: 16}
	for i := range 256 {
		m.Hosts = append(m.Hosts, record.Host{Name: fmt.Sprintf("node-%04d.cluster.example", i), CPU: "AMD EPYC 9654 96-Core Processor", Features: features, Cores: 192, Memory: 1 << 40, Kernel: "6.8.0-45-generic"})
		m.Devices = append(m.Devices, record.Device{Name: "NVIDIA H800 SXM", Host: i, Ranks: []int{8 * i, 8*i + 1, 8*i + 2, 8*i + 3, 8*i + 4, 8*i + 5, 8*i + 6, 8*i + 7}, Peak: map[string]float64{"bf16": 1.2345678e15}, Bandwidth: 3.35e12})
	}
	for l := range 61 {
		for i := range 30 {
			m.Model[fmt.Sprintf("model.layers.%d.self_attn.compressor.indexer.tensor_%d.weight", l, i)] = record.SHA256(nil)
		}
	}
	b, err := record.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("manifest: %d bytes", len(b))
	r := &record.Routing{To: 1000}
	for range 61 {
		counts := make([]int64, 384)
		for i := range counts {
			counts[i] = 123456789012
		}
		r.Counts = append(r.Counts, counts)
	}
	ti := &record.Times{To: 1000}
	for i := range 2048 {
		ti.Ranks = append(ti.Ranks, record.RankTime{Rank: i, Split: record.Split{
			Wall: 9e15, Data: 1e15, Forward: 1e15, Backward: 1e15, Communication: 1e15, Bubble: 1e15, Optimizer: 1e15, Checkpoint: 1e15, Stall: 1e15, Other: 1e15,
		}})
	}
	for _, body := range []record.Body{r, ti} {
		b, err := record.Marshal(record.NewEntry(1, 2, body))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes", body.Kind(), len(b))
	}
}
