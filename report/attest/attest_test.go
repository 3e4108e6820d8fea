package attest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/report/attest"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
)

// key makes the same key of a number every time.
func key(t testing.TB, n byte) *runlog.Key {
	t.Helper()
	text, _, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{n}, 32)), "temper")
	if err != nil {
		t.Fatal(err)
	}
	k, err := runlog.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// modelFiles are a model directory of small files; names test the order.
func modelFiles() map[string]string {
	return map[string]string{
		"config.json": `{"model_type":"deepseek_v4"}`, "model-00001-of-00002.safetensors": "weights one",
		"model-00002-of-00002.safetensors": "weights two", "tokenizer.json": "{}",
		"a/y": "1", "a-b/x": "2", "a.txt": "3", "Z": "4",
	}
}

// example is a run to make a record of; tests change it first.
type example struct {
	manifest *record.Manifest
	files    map[string]string
	entries  []record.Body // before the end
	end      *record.End   // nil: none
	signer   byte          // number of the key
}

func digest(s string) record.Digest { return record.SHA256([]byte(s)) }

func step(stage int, n int64, loss float64) *record.Step {
	return &record.Step{
		Stage: stage, Step: n, Examples: 4, Tokens: 256, Supervised: 200, Batch: digest(fmt.Sprint("batch", stage, n)),
		Losses: map[string]float64{"lm": loss}, GradNorm: 1, LR: 1e-3, Parameters: digest(fmt.Sprint("p", stage, n)), Optimizer: digest(fmt.Sprint("o", stage, n)),
		Time: record.Split{Wall: 5e8, Model: 4e8, Optimizer: 1e8}, FLOPs: 1.5e12,
	}
}

func newExample() *example {
	x := &example{files: modelFiles()}
	x.manifest = &record.Manifest{
		Run: "example", Recipe: "name: example\nstages:\n- name: base\n", Seed: 7, Started: 1_790_000_000_000,
		Architecture: `{"architectures":["DeepseekV4ForCausalLM"],"hidden_size":32,"max_position_embeddings":4096,"model_type":"deepseek_v4","n_routed_experts":4,"num_experts_per_tok":2,"num_hidden_layers":3,"vocab_size":512}`,
		Precision:    record.Precision{Parameters: "fp32", Linear: "fp32"},
		Model:        map[string]record.Digest{"embed.weight": digest("e"), "head.weight": digest("h")},
		Tokenizer:    digest("{}"),
		Data:         []record.File{{Path: "text.txt", Digest: digest("text"), Bytes: 4, Rows: 1}, {Path: "data/questions.jsonl", Digest: digest("q"), Bytes: 1000, Rows: 10}},
		Program: record.Program{
			Version: "v0.5.0", Revision: "0123456789abcdef0123456789abcdef01234567", Go: "go1.26.8",
			Modules: map[string]string{
				"github.com/CycloneDX/cyclonedx-go@v0.12.0": "h1:Khu2En+0gcYPZ2kuIihfswbzxv/mIHXgzPZ018Oty48=", "example.com/x@v1.0.0+incompatible": "",
			},
			Build: map[string]string{"CGO_ENABLED": "0", "GOARCH": "amd64"},
		},
		Hosts: []record.Host{{Name: "h", CPU: "AMD EPYC", Features: []string{"avx2"}, Cores: 2, Memory: 8 << 30, Kernel: "Linux 6"}},
		Ranks: 1, Mesh: record.One(), Links: []record.Link{}, Devices: []record.Device{}, Clock: "test",
	}
	x.entries = []record.Body{
		&record.Begin{Total: 123456, Active: 65432, Parameters: digest("begin")},
		&record.Stage{Stage: 0, Name: "base", Method: "cpt", Steps: 2, Rows: 8, Batch: 4, Micro: 4, Accumulation: 1, Sequence: 64, Optimizer: "muon", LR: record.Schedule{Kind: "cosine", Peak: 1e-2, Warmup: 1}, Order: digest("order")},
		&record.Evaluation{Stage: 0, HeldOut: &record.HeldOut{Loss: 6.25, Tokens: 90}},
		step(0, 0, 6.5), step(0, 1, 6.25),
		&record.Fault{Fault: "crash", Stage: 0, Step: 1, Evidence: "power"},
		&record.Recovery{Stage: 0, Step: 1, Again: 1, Cause: "power"},
		step(0, 1, 6), &record.Evaluation{Stage: 0, Step: 2, HeldOut: &record.HeldOut{Loss: 5.75, Tokens: 90}},
		&record.Stage{Stage: 1, Name: "sft", Method: "sft", Steps: 1, Rows: 8, Batch: 4, Micro: 4, Accumulation: 1, Sequence: 64, Optimizer: "adamw", LR: record.Schedule{Kind: "constant", Peak: 5e-3}},
		&record.Evaluation{Stage: 1, Suites: map[string]record.Score{"units": {Right: 0, Total: 210}}},
		step(1, 0, 3.125), &record.Evaluation{Stage: 1, Step: 1, Suites: map[string]record.Score{"units": {Right: 207, Total: 210}}},
	}
	x.end = &record.End{Status: "complete", Steps: 3, Examples: 12, Tokens: 768, Supervised: 600, Weights: digest("weights")}
	return x
}

// write makes the run directory.
func (x *example) write(t testing.TB) string {
	t.Helper()
	run := filepath.Join(t.TempDir(), "run")
	export := map[string]record.Digest{}
	for name, text := range x.files {
		path := filepath.Join(run, attest.ModelDir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
		export[name] = digest(text)
	}
	ms := x.manifest.Started
	now := func() time.Time { ms += 1000; return time.UnixMilli(ms) }
	w, err := runlog.Create(filepath.Join(run, attest.RecordDir), x.manifest, key(t, x.signer), runlog.Options{FS: durabletest.NoSync(durable.OS), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	bodies := x.entries
	if x.end != nil {
		if x.end.Export == nil {
			x.end.Export = export
		}
		bodies = append(bodies[:len(bodies):len(bodies)], x.end)
	}
	for _, b := range bodies {
		if _, err := w.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return run
}

// write makes attestations of a run.
func write(t testing.TB, run string) *attest.Result {
	t.Helper()
	r, err := attest.Write(t.Context(), run, attest.Options{Key: key(t, 0), FS: durabletest.NoSync(durable.OS)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func names() []string {
	return []string{"record.json", "model.json", "model.sig", "model.pub", "provenance.json", "bom.json", "README.md"}
}

func read(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantPass demands that all checks pass.
func wantPass(t testing.TB, checks []verify.Check) {
	t.Helper()
	if len(checks) < 6 { // one for each document but model.pub
		t.Errorf("%d checks", len(checks))
	}
	for _, c := range checks {
		if c.Result != verify.Pass {
			t.Errorf("%s: %s: %s", c.Name, c.Result, c.Evidence)
		}
	}
}

// failures are the evidence of the checks that failed.
func failures(checks []verify.Check) string {
	var all []string
	for _, c := range checks {
		if c.Result == verify.Fail {
			all = append(all, c.Name+": "+c.Evidence)
		}
	}
	return strings.Join(all, "\n")
}

func TestAttestationsFollowFromTheRecord(t *testing.T) {
	run := newExample().write(t)
	r := write(t, run)
	wantPass(t, attest.Check(t.Context(), run, attest.CheckOptions{}))
	wantPass(t, attest.Check(t.Context(), run, attest.CheckOptions{Trust: runlog.Trust{Verifier: key(t, 0).Verifier()}}))
	if len(r.Files) != 7 || r.Leaves != 15 {
		t.Errorf("%+v", r)
	}
	first := map[string][]byte{}
	for _, name := range names() {
		first[name] = read(t, run, attest.Dir, name)
	}
	// Another time, another place: the same bytes.
	other, err := attest.Write(t.Context(), run, attest.Options{Key: key(t, 0), Out: filepath.Join(t.TempDir(), "a", "b")})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names() {
		if !bytes.Equal(first[name], read(t, other.Dir, name)) {
			t.Errorf("%s: other bytes the second time", name)
		}
	}
}

// Teachers are among what a model was made from.
func TestTeachersAreDependencies(t *testing.T) {
	x := newExample()
	x.entries[9].(*record.Stage).Teachers = map[string]record.Digest{"maths": digest("a"), "safety": digest("b")}
	run := x.write(t)
	write(t, run)
	wantPass(t, attest.Check(t.Context(), run, attest.CheckOptions{}))
	var envelope struct{ Payload []byte }
	if err := json.Unmarshal(read(t, run, attest.Dir, "provenance.json"), &envelope); err != nil {
		t.Fatal(err)
	}
	sum := strings.TrimPrefix(string(digest("b")), "sha256:")
	if want := `{"digest":{"sha256":"` + sum + `"},"name":"teacher/sft/safety"}`; !strings.Contains(string(envelope.Payload), want) {
		t.Errorf("no %s in\n%s", want, envelope.Payload)
	}
	if bom := string(read(t, run, attest.Dir, "bom.json")); !strings.Contains(bom, "stage:1:teacher:safety") || !strings.Contains(bom, string(digest("b"))) {
		t.Errorf("no teacher in %s", bom)
	}
}

// The golden run is what scripts/attest_public.sh runs the public tools on.
func TestGolden(t *testing.T) {
	run := newExample().write(t)
	write(t, run)
	golden := filepath.Join("testdata", "run")
	if os.Getenv("TEMPER_REWRITE") != "" {
		if err := errors.Join(os.RemoveAll(golden), os.Remove(filepath.Join(run, attest.RecordDir, "LOCK")), os.CopyFS(golden, os.DirFS(run))); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{attest.RecordDir, attest.ModelDir, attest.Dir} {
		err := filepath.WalkDir(filepath.Join(golden, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(golden, path)
			if err == nil && !bytes.Equal(read(t, path), read(t, run, rel)) {
				t.Errorf("%s is not what is made now: TEMPER_REWRITE=1 writes it again <- if the record says the same and a document says something else, attest.Format must change", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wantPass(t, attest.Check(t.Context(), golden, attest.CheckOptions{}))
}

// The digest of a directory is the public tool's: model_signing 1.1.1 gave this
// one, in this order, for files whose names are sorted otherwise by most.
func TestRootDigestIsThePublicTools(t *testing.T) {
	x := newExample()
	x.files = map[string]string{"a/y": "1\n", "a-b/x": "2\n", "a.txt": "3\n", "Z": "4\n", "é.json": "5", "q\"uote\\.txt": "6"}
	run := x.write(t)
	const want = "sha256:c318d83b2f915145fd973af47ca78a92a0f46a80e8608df773eb151ab6714824"
	if got := write(t, run).Model; got != want {
		t.Errorf("model digest %s, want %s", got, want)
	}
	wantPass(t, attest.Check(t.Context(), run, attest.CheckOptions{}))
}

func TestNoResultNoAttestation(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*example)
		want   string
	}{
		"incomplete": {func(x *example) { x.end = nil }, "the record has no end, the run is not complete"},
		"failed":     {func(x *example) { x.end.Status, x.end.Reason = "failed", "out of memory" }, `the run ended as failed: "out of memory"`},
		"no export":  {func(x *example) { x.end.Export = map[string]record.Digest{} }, "the record's end names no files of a model"},
		"goes on": {func(x *example) {
			x.end.Export = map[string]record.Digest{"Z": digest("4")}
			x.entries, x.end = append(x.entries, x.end, &record.Note{}), nil
		}, "goes on after its end, with a note"},
		"no stage":      {func(x *example) { x.entries = nil }, "the record has no stage"},
		"climbing path": {func(x *example) { x.end.Export = map[string]record.Digest{"../x": digest("x")} }, `"../x" is not a path within a directory`},
		"other digest": {func(x *example) {
			x.end.Export = map[string]record.Digest{"x": record.Digest("sum512:" + strings.Repeat("0", 128))}
		}, `want sha256`},
		"stage missing": {func(x *example) { x.entries = x.entries[3:] }, "entry 1: stage 0 of 0 that have begun"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newExample()
			c.change(x)
			run := x.write(t)
			_, err := attest.Write(t.Context(), run, attest.Options{Key: key(t, 0)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(run, attest.Dir)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something was written: %v", err)
			}
			for _, c := range attest.Check(t.Context(), run, attest.CheckOptions{}) {
				if c.Result == verify.Pass {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

// What a recovery takes back is not what documents tell.
func TestRecoveryTakesBack(t *testing.T) {
	x := newExample()
	base, sft := *x.entries[1].(*record.Stage), *x.entries[9].(*record.Stage)
	score := func(stage int, step, right int64) *record.Evaluation {
		return &record.Evaluation{Stage: stage, Step: step, Suites: map[string]record.Score{"units": {Right: right, Total: 100}}}
	}
	x.entries = []record.Body{
		x.entries[0], &base, score(0, 0, 1), step(0, 0, 9.5), step(0, 1, 8.5), &sft, score(1, 0, 77), step(1, 0, 7.5),
		&record.Recovery{Stage: 0, Step: 0, Again: 3, Cause: "crash"},
		score(0, 0, 2), step(0, 0, 4.5), step(0, 1, 3.5), score(0, 2, 3), &sft, step(1, 0, 2.5), score(1, 1, 99),
	}
	run := x.write(t)
	write(t, run)
	card := string(read(t, run, attest.Dir, "README.md"))
	for _, want := range []string{
		"| 4.5 | 3.5 |", "| 2.5 | 2.5 |", "| base | suite units | exact answers, fraction | 0.02 (step 0) | 0.03 (step 2) | 100 questions |",
		"| sft | suite units | exact answers, fraction | not measured | 0.99 (step 1) | 100 questions |", "| steps taken again after a fault | 3, ",
	} {
		if !strings.Contains(card, want) {
			t.Errorf("the card does not say %q", want)
		}
	}
	for _, stale := range []string{"9.5", "8.5", "7.5", "0.77", "0.01 "} {
		if strings.Contains(card, stale) {
			t.Errorf("the card says %q", stale)
		}
	}
}

func TestKeyOfAnother(t *testing.T) {
	run := newExample().write(t)
	if _, err := attest.Write(t.Context(), run, attest.Options{Key: key(t, 1)}); err == nil || !strings.Contains(err.Error(), "give the key of the run") {
		t.Error(err)
	}
	write(t, run)
	checks := attest.Check(t.Context(), run, attest.CheckOptions{Trust: runlog.Trust{Verifier: key(t, 1).Verifier()}})
	if !strings.Contains(failures(checks), "wrong key") {
		t.Errorf("%+v", checks)
	}
}

func TestMissingAttestationsAreIncomplete(t *testing.T) {
	run := newExample().write(t)
	checks := attest.Check(t.Context(), run, attest.CheckOptions{})
	if len(checks) != 1 || checks[0].Result != verify.Incomplete || !strings.Contains(checks[0].Evidence, "temper attest") {
		t.Errorf("%+v", checks)
	}
}
