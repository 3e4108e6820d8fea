package verify_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/report/verify/verifytest"
)

// Hostile run directories are refused with the entry's index and the reason,
// without waiting for anything.
func TestHostileRuns(t *testing.T) {
	o := verifytest.Default()
	o.Stages = o.Stages[:1]
	run := makeRun(t, o)
	log := func(change func([]byte) []byte) func(*trial) {
		return func(t *trial) { t.text("record/log", change) }
	}
	line := func(i int, text string) func(*trial) {
		return log(func(b []byte) []byte {
			ls := bytes.SplitAfter(b, []byte("\n"))
			ls[i-1] = []byte(text)
			return bytes.Join(ls, nil)
		})
	}
	replace := func(name string, make func(path string) error) func(*trial) {
		return func(t *trial) {
			if err := os.RemoveAll(t.path(name)); err != nil {
				t.Fatal(err)
			}
			if err := make(t.path(name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	manifest := func(change func(*record.Manifest)) func(*trial) {
		return func(t *trial) {
			t.forge(t.key, func(m *record.Manifest, es []*record.Entry) []*record.Entry { change(m); return es })
			if err := os.Remove(t.path("recipe.yaml")); err != nil {
				t.Fatal(err)
			}
		}
	}
	body := func(kind string, change func(record.Body)) func(*trial) {
		return func(t *trial) {
			t.forge(t.key, func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
				for _, e := range es {
					if e.Kind == kind {
						change(e.Body)
						break
					}
				}
				return es
			})
		}
	}
	cases := []struct {
		name  string
		do    func(*trial)
		check string
		index int64
		says  string
	}{
		{"no record", replace("record", func(string) error { return nil }), "manifest", -1, "no record"},
		{"record is a file", replace("record", func(p string) error { return os.WriteFile(p, nil, 0o644) }), "manifest", -1, "no record"},
		{"log is a directory", replace("record/log", func(p string) error { return os.Mkdir(p, 0o755) }), "manifest", -1, "no regular file"},
		{"log is a pipe", replace("record/log", func(p string) error { return syscall.Mkfifo(p, 0o644) }), "manifest", -1, "no regular file"},
		{"heads lead outside", replace("record/heads", func(p string) error { return os.Symlink("/etc/passwd", p) }), "manifest", -1, "escapes"},
		{"newer version", func(t *trial) {
			t.text("record/manifest.json", func(b []byte) []byte {
				return bytes.Replace(b, []byte("temper-record/1"), []byte("temper-record/2"), 1)
			})
		}, "manifest", 0, `another version of the format: "temper-record/2"`},
		{"newer kind", line(7, `{"body":{},"index":7,"kind":"quantum","time":1800000009000}`+"\n"), "entries", 7, `kind: "quantum" is unknown`},
		{"oversized", line(5, strings.Repeat("x", 3<<20)+"\n"), "entries", 5, "line is too long"},
		{"endless", log(func(b []byte) []byte { return append(b[:900], bytes.Repeat([]byte("["), 2<<20)...) }), "entries", 4, "line is too long"},
		{"deep", line(5, `{"body":`+strings.Repeat("[", 1<<19)+"\n"), "entries", 5, "deeper than 32"},
		{"clock runs backwards", func(t *trial) { t.member(`"time":(\d+)\}\n`, func(string) string { return "1" }) }, "entries", -2, "the clock went back"},
		{"control characters", line(4, "{\"body\":{\"text\":\"\x1b[2J\"},\"index\":4,\"kind\":\"note\",\"time\":1800000009000}\n"), "entries", 4, "control character"},
		{"checkpoint leads outside", body("checkpoint", func(b record.Body) { b.(*record.Checkpoint).Path = "../../etc" }), "files", -2, "leads out of the run directory"},
		{"checkpoint is a link out", func(t *trial) {
			dir := filepath.Dir(t.checkpointFiles()[0])
			replace(dir, func(p string) error { return os.Symlink("/etc", p) })(t)
		}, "files", -2, "escapes"},
		{"export leads outside", body("end", func(b record.Body) { b.(*record.End).Export["../../x"] = record.SHA256(nil) }), "files", -2, "x"},
		{"aliases", manifest(func(m *record.Manifest) {
			m.Recipe = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c]\nname: *d\n" + m.Recipe
		}), "recipe", 0, ""},
		{"deep recipe", manifest(func(m *record.Manifest) { m.Recipe = "a: " + strings.Repeat("[", 1<<17) }), "recipe", 0, "nest"},
		{"large recipe", manifest(func(m *record.Manifest) { m.Recipe += "# " + strings.Repeat(strings.Repeat("x", 999)+"\n# ", 400) }), "recipe", 0, "at most"},
		{"recipe is no recipe", manifest(func(m *record.Manifest) { m.Recipe = "- 1\n" }), "recipe", 0, ""},
		{"architecture is none", manifest(func(m *record.Manifest) { m.Architecture = "{}" }), "flops", 0, "manifest: architecture"},
		{"huge architecture", manifest(func(m *record.Manifest) {
			m.Architecture = strings.Replace(m.Architecture, `"vocab_size": 512`, `"vocab_size": 9000000000000000000`, 1)
		}), "flops", 0, ""},
		{"ranks on two devices", manifest(func(m *record.Manifest) { m.Devices = append(m.Devices, m.Devices[0]) }), "device", 0, "on two devices"},
		{"peak of infinity", manifest(func(m *record.Manifest) { m.Devices[0].Peak["f32"] = 0; m.Devices[0].Bandwidth = -1 }), "device", 0, "bandwidth"},
		{"sequence of 2^62", body("stage", func(b record.Body) { b.(*record.Stage).Sequence = 1 << 62 }), "flops", -2, "sequence"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{T: t, dir: filepath.Join(t.TempDir(), "run"), key: run.Key, draw: func(n int) int { return n / 2 }}
			if err := link(tr.dir, run.Dir); err != nil {
				t.Fatal(err)
			}
			c.do(tr)
			l, cs := all(tr.dir, runlog.Trust{})
			r := verify.NewReport(l, cs, nil)
			var b strings.Builder
			if err := r.Text(&b); err != nil || r.Verdict == verify.Pass || strings.ContainsRune(b.String(), 0x1b) {
				t.Errorf("%v: %s", err, &b)
			}
			for _, k := range cs {
				if k.Name == c.check && k.Result != verify.Pass && strings.Contains(k.Evidence, c.says) && (c.index == -2 && k.Index > 0 || k.Index == c.index) {
					return
				}
			}
			t.Errorf("want %q of %s at entry %d:\n%s", c.says, c.check, c.index, &b)
		})
	}
}

// Names and texts of a run do nothing to the terminal that shows its report.
func TestTextOfHostileNames(t *testing.T) {
	r := &verify.Report{Run: "\x1b[2J\u202e", Signer: "a\x1b]0;x\x07", Verdict: verify.Fail, Checks: []verify.Check{{Name: "x", Evidence: "\u009b31m\nPASS: y"}}}
	var b strings.Builder
	if err := r.Text(&b); err != nil || strings.ContainsAny(b.String(), "\x1b\x07\u009b\u202e") || strings.Contains(b.String(), "\nPASS") {
		t.Errorf("%v: %q", err, b.String())
	}
}

// FuzzForm gives whatever bytes to the whole verifier: as files of a record, or,
// signed, as the entries of one.
func FuzzForm(f *testing.F) {
	o := verifytest.Default()
	o.Stages[0].Steps, o.Stages[1].Steps = 12, 3
	run, err := verifytest.Write(filepath.Join(f.TempDir(), "run"), verifytest.Key(0), o)
	if err != nil {
		f.Fatal(err)
	}
	var seed [3][]byte
	for i, name := range []string{runlog.ManifestName, runlog.LogName, runlog.HeadsName} {
		if seed[i], err = os.ReadFile(filepath.Join(run.Dir, "record", name)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(seed[0], seed[1], seed[2], true)
	f.Add(seed[0], seed[1], seed[2], false)
	f.Add(seed[0], []byte{}, seed[2], true)
	for _, change := range [][2]string{
		{`"kind":"step"`, `"kind":"note"`},
		{`"stage":0`, `"stage":9223372036854775807`},
		{`"step":3`, `"step":9223372036854775807`},
		{`"again":3`, `"again":0`},
		{`"wall":`, `"wall":9`},
		{`"tokens":`, `"tokens":99999999999999`},
		{`"lm":2`, `"lm":"NaN","z":"+Inf`},
	} {
		f.Add(seed[0], bytes.ReplaceAll(seed[1], []byte(change[0]), []byte(change[1])), seed[2], true)
	}
	for _, change := range [][2]string{{`steps: 12`, `steps: 9223372036854775807`}, {`"Ranks":1`, `"ranks":2`}, {`tiny`, `\u0000`}, {`512`, `-1`}} {
		f.Add(bytes.ReplaceAll(seed[0], []byte(change[0]), []byte(change[1])), seed[1], seed[2], true)
	}
	f.Fuzz(func(t *testing.T, manifest, log, heads []byte, sign bool) {
		dir := t.TempDir()
		if sign {
			heads = signed(manifest, log)
		}
		if err := os.Mkdir(filepath.Join(dir, "record"), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]byte{runlog.ManifestName: manifest, runlog.LogName: log, runlog.HeadsName: heads} {
			if err := os.WriteFile(filepath.Join(dir, "record", name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		l, cs := all(dir, runlog.Trust{Verifier: verifytest.Key(0).Verifier()})
		for _, c := range cs {
			if c.Name == "" || c.Result != verify.Pass && c.Evidence == "" {
				t.Errorf("%+v", c)
			}
		}
		r := verify.NewReport(l, cs, nil)
		if r.Verdict == verify.Pass {
			t.Error("passes without a replay")
		}
		if !sign && r.Verdict == verify.Incomplete && l.Manifest != nil && !bytes.HasPrefix(seed[1], log) && !bytes.HasPrefix(log, seed[1]) && l.Summary.Signed > 1 {
			t.Errorf("entries that nobody signed are not found false: %d of %d leaves signed", l.Summary.Signed, l.Summary.Leaves)
		}
		if err := r.Text(&strings.Builder{}); err != nil {
			t.Error(err)
		}
		if names, err := os.ReadDir(filepath.Join(dir, "record")); err != nil || len(names) != 3 {
			t.Errorf("something was written: %v, %v", names, err)
		}
		if l.Steps() > 0 {
			if _, _, err := l.Step(verify.Position{Stage: 0, Step: 0}); err != nil {
				t.Error(err)
			}
		}
		fmt.Fprint(&strings.Builder{}, l.Taken(-1), l.Taken(1<<30))
	})
}
