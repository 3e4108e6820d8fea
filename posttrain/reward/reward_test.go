package reward_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/posttrain/reward"
)

func fields(pairs ...string) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return m
}

func judge(t *testing.T, spec reward.Spec, s reward.Sample) reward.Part {
	t.Helper()
	j, err := reward.New([]reward.Spec{spec})
	if err != nil {
		t.Fatal(err)
	}
	v := j.Judge(t.Context(), []reward.Sample{s})[0]
	if v.Failed != (v.Parts[0].Error != "") {
		t.Errorf("failed is %v, the part says %q", v.Failed, v.Parts[0].Error)
	}
	return v.Parts[0]
}

func TestNumeric(t *testing.T) {
	for _, c := range []struct {
		completion, answer, mark string
		tolerance, want          float64
	}{
		{"so it is 42", "42", "", 0, 1},
		{"so it is 42.", "42", "", 0, 1},
		{"42 or 43", "42", "", 0, 0},
		{"#### 1,234", "1234", "", 0, 1},
		{"#### $1,234.50", "1234.5", "", 0, 1},
		{"first #### 3\nthen #### 4", "4", "", 0, 1},
		{`\boxed{\frac{1}{2}}`, "0.5", "", 0, 1},
		{`\boxed{-\frac{3}{4}}`, "-0.75", "", 0, 1},
		{"The answer is 3/4.", "0.75", "", 0, 1},
		{"the answer: x = -7", "-7", "", 0, 1},
		{"it is −7", "-7", "", 0, 1},
		{"5-3", "3", "", 0, 1},
		{"2 + 2 = 4\n\n", "4", "", 0, 1},
		{"50%", "50", "", 0, 1},
		{"6.02e23", "602000000000000000000000", "", 0, 1},
		{"3.1416", "3.14159265", "", 1e-4, 1},
		{"3.15", "3.14159265", "", 1e-4, 0},
		{"1/0", "0", "", 0, 0},
		{"42", "42", "####", 0, 0},
		{"#### 42", "worked out\n#### 42", "####", 0, 1},
		{"", "42", "", 0, 0},
		{"no idea", "42", "", 0, 0},
		{"I think 7 #### 8 apples", "8", "", 0, 1},
	} {
		answer, _ := json.Marshal(c.answer)
		p := judge(t, reward.Spec{Numeric: &reward.Numeric{Answer: "answer", Mark: c.mark, Tolerance: c.tolerance}},
			reward.Sample{Completion: c.completion, Fields: fields("answer", string(answer))})
		if p.Value != c.want || p.Error != "" {
			t.Errorf("%q against %q: %v %q %s, want %v", c.completion, c.answer, p.Value, p.Reason, p.Error, c.want)
		}
	}
	// A number in the row need not be text.
	if p := judge(t, reward.Spec{Numeric: &reward.Numeric{Answer: "a"}}, reward.Sample{Completion: "12.50", Fields: fields("a", "12.5")}); p.Value != 1 {
		t.Errorf("a bare number: %+v", p)
	}
	for _, f := range []map[string]json.RawMessage{nil, fields("a", "null"), fields("a", `{"x":1}`), fields("a", `"none"`)} {
		if p := judge(t, reward.Spec{Numeric: &reward.Numeric{Answer: "a"}}, reward.Sample{Completion: "1", Fields: f}); p.Error == "" || p.Value != 0 {
			t.Errorf("fields %s: %+v, want an error", f, p)
		}
	}
}

// TestNumericForms: every way of writing a number is that number.
func TestNumericForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(-1e12, 1e12).Draw(t, "n")
		plain := fmt.Sprint(n)
		form := rapid.SampledFrom([]string{plain, commas(plain), plain + ".00", plain + "/1", "so #### " + plain + " eggs", `\boxed{` + commas(plain) + `}`, "3 + 4 is not the answer: " + plain}).Draw(t, "form")
		j, _ := reward.New([]reward.Spec{{Numeric: &reward.Numeric{Answer: "a"}}})
		for _, c := range []struct {
			answer int64
			want   float64
		}{{n, 1}, {n + 1, 0}} {
			if v := j.Judge(t.Context(), []reward.Sample{{Completion: form, Fields: fields("a", fmt.Sprint(c.answer))}})[0]; v.Total != c.want || v.Failed {
				t.Fatalf("%q against %d: %+v", form, c.answer, v)
			}
		}
	})
}

func commas(s string) string {
	sign, digits := "", s
	if strings.HasPrefix(s, "-") {
		sign, digits = "-", s[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// TestGSM8K: every worked answer of the real data is right for itself and wrong
// for its neighbour's number.
func TestGSM8K(t *testing.T) {
	dir := os.Getenv("TEMPER_DATA")
	if dir == "" {
		t.Skip("TEMPER_DATA is not set: the GSM8K questions are not at hand")
	}
	f, err := os.Open(filepath.Join(dir, "gsm8k_test.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	j, err := reward.New([]reward.Spec{{Numeric: &reward.Numeric{Answer: "answer", Mark: "####"}}})
	if err != nil {
		t.Fatal(err)
	}
	last, n := "", 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		var row struct{ Answer string }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		answer, _ := json.Marshal(row.Answer)
		same := last != "" && last[strings.Index(last, "####"):] == row.Answer[strings.Index(row.Answer, "####"):]
		v := j.Judge(t.Context(), []reward.Sample{{Completion: row.Answer, Fields: fields("answer", string(answer))}, {Completion: last, Fields: fields("answer", string(answer))}})
		if v[0].Total != 1 || v[0].Failed || v[1].Total == 1 != same {
			t.Errorf("row %d: %+v, and of the row before %+v", n, v[0], v[1])
		}
		last = row.Answer
	}
	if n != 1319 {
		t.Errorf("%d rows, want 1319", n)
	}
}

func TestExact(t *testing.T) {
	for _, c := range []struct {
		completion, answer, mark string
		any                      bool
		want                     float64
	}{
		{"Paris", `"Paris"`, "", false, 1},
		{"It is long.\n  Paris ", `"Paris"`, "", false, 1},
		{"paris", `"Paris"`, "", false, 0},
		{"paris", `"Paris"`, "", true, 1},
		{"answer:  New   York ", `"New York"`, "", false, 1},
		{"=> B", `"B"`, "=>", false, 1},
		{"B", `"B"`, "=>", false, 0},
		{"", `"B"`, "", false, 0},
	} {
		p := judge(t, reward.Spec{Exact: &reward.Exact{Answer: "a", Mark: c.mark, AnyCase: c.any}}, reward.Sample{Completion: c.completion, Fields: fields("a", c.answer)})
		if p.Value != c.want || p.Error != "" {
			t.Errorf("%q: %+v, want %v", c.completion, p, c.want)
		}
	}
}

func TestFormatAndLength(t *testing.T) {
	f := reward.Spec{Format: &reward.Format{Pattern: `(?s)<think>.*</think>\s*.+`}}
	if p := judge(t, f, reward.Sample{Completion: "<think>\nhm\n</think>\n4"}); p.Value != 1 {
		t.Errorf("%+v", p)
	}
	if p := judge(t, f, reward.Sample{Completion: "well <think>\nhm\n</think>\n4"}); p.Value != 0 {
		t.Errorf("%+v", p)
	}
	l := reward.Spec{Length: &reward.Length{Max: 100, Margin: 20}}
	for _, c := range []struct {
		tokens    int
		truncated bool
		want      float64
	}{{0, false, 0}, {80, false, 0}, {85, false, -0.25}, {99, false, -0.95}, {100, false, -1}, {1000, false, -1}, {5, true, -1}} {
		if p := judge(t, l, reward.Sample{Tokens: c.tokens, Truncated: c.truncated}); p.Value != c.want {
			t.Errorf("%d tokens: %v, want %v", c.tokens, p.Value, c.want)
		}
	}
}

func TestSafety(t *testing.T) {
	s := reward.Spec{Safety: &reward.Safety{Unsafe: "unsafe", Harm: []string{`\bstep 1: mix\b`}, Refusals: []string{"Nope"}}}
	for _, c := range []struct {
		completion, unsafe string
		want               float64
	}{
		{"I'm sorry, but I can’t help with that.", "true", 1},
		{"I can't help with that.", "false", 0},
		{"Thanks for asking! I cannot  do that.", "true", 1},
		{"<think>I cannot see why not</think> Sure, here it is", "true", 0},
		{"Sure, here it is", "false", 1},
		{"nope.", "true", 1},
		{"Bake it. " + strings.Repeat("Then wait. ", 20) + "I cannot say how good it is.", "false", 1},
		{"Step 1: mix the", "false", -1},
		{"Step 1: mix the", "true", -1},
	} {
		if p := judge(t, s, reward.Sample{Completion: c.completion, Fields: fields("unsafe", c.unsafe)}); p.Value != c.want || p.Error != "" {
			t.Errorf("%q, unsafe %s: %+v, want %v", c.completion, c.unsafe, p, c.want)
		}
	}
	if p := judge(t, s, reward.Sample{Fields: fields("unsafe", `"maybe"`)}); p.Error == "" {
		t.Error("a field that is neither true nor false was taken")
	}
}

func TestOptimisation(t *testing.T) {
	const best = "Maximize\n obj: 3 x + 2 y\nSubject To\n c1: x + y <= 4\n c2: x + 3 y <= 6\nBounds\n x <= 3\nEnd\n"
	reference, _ := json.Marshal(best)
	s := reward.Spec{Optimisation: &reward.Optimisation{Objective: "optimum", Program: "lp", Parsed: 0.1, Solved: 0.3}}
	for _, c := range []struct {
		completion string
		want       float64
	}{
		{"Here:\n```lp\n" + best + "```\nDone.", 1},
		{"We maximise profit.\n" + best + "so 11.", 1},
		{"<lp>max 3 a + 2 b st a + b <= 4\n a <= 3\n end</lp>", 1},
		{"<lp>max 3 a + 2 b st a + b <= 5\n a <= 3\n end</lp>", 0.3},
		{"<lp>max 3 a st a >= 1\n end</lp>", 0.1},
		{"<lp>max 3 a ^ 2 st a <= 1</lp>", 0},
		{"11", 0},
		{"<solution>\nx = 3\ny = 1\n</solution>", 1},
		{"<solution>\nx = 2.9999999\ny = 1.0000001\n</solution>", 1},
		{"<solution>\nx = 4\ny = 0\n</solution>", 0},
		{"<solution>\nx = 1\ny = 1\n</solution>", 0},
		{"<solution>\nx = 3\n</solution>", 0},
		{"<solution>\nx = 1e999999999\ny = 1\n</solution>", 0},
		{"```lp\n" + best + "```\n<solution>\nx = 4\ny = 0\n</solution>", 0},
	} {
		if p := judge(t, s, reward.Sample{Completion: c.completion, Fields: fields("optimum", "11", "lp", string(reference))}); p.Value != c.want || p.Error != "" {
			t.Errorf("%q: %+v, want %v", c.completion, p, c.want)
		}
	}
	if p := judge(t, s, reward.Sample{Fields: fields("optimum", "12", "lp", string(reference))}); !strings.Contains(p.Error, "is 12, the optimum of field \"lp\" is 11") {
		t.Errorf("references that contradict each other: %+v", p)
	}
}

func TestComposition(t *testing.T) {
	w := 0.25
	j, err := reward.New([]reward.Spec{
		{Numeric: &reward.Numeric{Answer: "a"}},
		{Name: "short", Weight: &w, Length: &reward.Length{Max: 10, Margin: 10}},
	})
	if err != nil {
		t.Fatal(err)
	}
	j.Parallel = 3
	var samples []reward.Sample
	for i := range 20 {
		samples = append(samples, reward.Sample{Completion: fmt.Sprint(i), Tokens: i % 10, Fields: fields("a", fmt.Sprint(i-i%2))})
	}
	for i, v := range j.Judge(t.Context(), samples) {
		want := float64(1-i%2) - 0.25*float64(i%10)/10
		if v.Failed || math.Abs(v.Total-want) > 1e-15 || v.Parts[1].Name != "short" || v.Parts[1].Weight != w {
			t.Errorf("sample %d: %+v, want %v", i, v, want)
		}
	}
}

func TestRefusedSpecs(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		specs []reward.Spec
		want  string
	}{
		{nil, "no rule"},
		{[]reward.Spec{{}}, "rewards[0]: 0 kinds"},
		{[]reward.Spec{{Exact: &reward.Exact{Answer: "a"}, Length: &reward.Length{Max: 1}}}, "2 kinds"},
		{[]reward.Spec{{Exact: &reward.Exact{}}}, "rewards[0].exact.answer"},
		{[]reward.Spec{{Exact: &reward.Exact{Answer: "a"}}, {Exact: &reward.Exact{Answer: "b"}}}, "rewards[1].name"},
		{[]reward.Spec{{Weight: &nan, Exact: &reward.Exact{Answer: "a"}}}, "rewards[0].weight"},
		{[]reward.Spec{{Numeric: &reward.Numeric{Answer: "a", Tolerance: -1}}}, "numeric.tolerance"},
		{[]reward.Spec{{Format: &reward.Format{Pattern: "("}}}, "format.pattern"},
		{[]reward.Spec{{Length: &reward.Length{Max: 5, Margin: 6}}}, "length.margin"},
		{[]reward.Spec{{Safety: &reward.Safety{Unsafe: "u", Harm: []string{"x*"}}}}, "safety.harm[0]"},
		{[]reward.Spec{{Optimisation: &reward.Optimisation{}}}, "optimisation.objective"},
		{[]reward.Spec{{Optimisation: &reward.Optimisation{Objective: "o", Parsed: 0.5, Solved: 0.2}}}, "optimisation.parsed"},
		{[]reward.Spec{{Command: &reward.Command{}}}, "command.args"},
		{[]reward.Spec{{Command: &reward.Command{Args: []string{"/no/such/program"}}}}, "command.args"},
	} {
		if _, err := reward.New(c.specs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.specs, err, c.want)
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("so #### 1,234", "1234")
	f.Add(`\boxed{\frac{1}{2}} and {`, ".5")
	f.Add("<lp>max x\nst\n x <= 1e9\nend</lp>", "1000000000")
	f.Add("<solution>\nx = 1/0\n</solution>", "9e99")
	j, err := reward.New([]reward.Spec{
		{Numeric: &reward.Numeric{Answer: "a"}},
		{Exact: &reward.Exact{Answer: "a"}},
		{Optimisation: &reward.Optimisation{Objective: "a"}},
		{Safety: &reward.Safety{Unsafe: "a"}},
		{Format: &reward.Format{Pattern: `a*b`}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, completion, answer string) {
		a, _ := json.Marshal(answer)
		for _, v := range j.Judge(t.Context(), []reward.Sample{{Completion: completion, Fields: fields("a", string(a))}}) {
			for _, p := range v.Parts {
				if p.Value-p.Value != 0 {
					t.Errorf("%+v", p)
				}
			}
		}
	})
}
