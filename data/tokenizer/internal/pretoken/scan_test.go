package pretoken

import (
	"slices"
	"strings"
	"testing"

	"github.com/dlclark/regexp2/v2"
	"github.com/temper-ml/temper/data/tokenizer/tokenizertest"
	"github.com/temper-ml/temper/internal/detrand"
)

// byEngine returns the pipeline of the patterns with no scanner in it: regexp2 does all the cutting.
func byEngine(t testing.TB, patterns ...string) *Pipeline {
	t.Helper()
	var stages []Stage
	for _, p := range patterns {
		p = strings.Replace(p, "(?i:'s|", "(?i:'s|'ſ|", 1) // regexp2 does not fold ſ to s, Oniguruma does
		re, err := CompileRegex(p)
		if err != nil {
			t.Fatal(err)
		}
		stages = append(stages, cutStage(re.find, Isolated, false))
	}
	pipe, err := NewPipeline(stages)
	if err != nil {
		t.Fatal(err)
	}
	return pipe
}

func byScanner(t testing.TB, patterns ...string) *Pipeline {
	t.Helper()
	var stages []Stage
	for _, p := range patterns {
		s, err := SplitStage(p, Isolated, false)
		if err != nil {
			t.Fatal(err)
		}
		if s.scan == nil {
			t.Fatalf("%q has no scanner", p)
		}
		stages = append(stages, s)
	}
	pipe, err := NewPipeline(stages)
	if err != nil {
		t.Fatal(err)
	}
	return pipe
}

var sequences = map[string][]string{
	"gpt2":           {GPT2},
	"llama3":         {Llama3},
	"qwen2":          {Qwen2},
	"deepseek":       {DeepSeekDigits, DeepSeekCJK, DeepSeekWords},
	"deepseek words": {DeepSeekWords},
	"digits, words":  {DeepSeekDigits, DeepSeekWords},
	"cjk":            {DeepSeekCJK},
}

// fastPieces are the pieces that Next gives.
func fastPieces(p *Pipeline, s string) []string {
	var out []string
	for pos, limit := 0, 0; pos < len(s); {
		start := pos
		pos, limit = p.Next(s, pos, limit)
		out = append(out, s[start:pos])
	}
	return out
}

func check(t *testing.T, name string, fast, slow *Pipeline, text string) {
	t.Helper()
	want := slow.Split(nil, text)
	got := fast.Split(nil, text)
	if !slices.Equal(got, want) {
		t.Errorf("%s on %q\n got %q\nwant %q", name, text, got, want)
	}
	if !fast.Scanned() {
		return
	}
	if got := fastPieces(fast, text); !slices.Equal(got, want) {
		t.Errorf("%s in one pass on %q\n got %q\nwant %q", name, text, got, want)
	}
}

// tricky are the characters whose order matters to the patterns.
var tricky = []string{
	" ", " ", "\n", "\r", "\t", "\u00A0", "\u3000", "\u0085", "'", "'s", "'S", "'ſ", "'ll", "'L", "'r", "'re", "a", "Z", "é", "ſ", "\u0301", "\u0903",
	"1", "2", "²", "٣", "Ⅷ", "〇", ".", "-", "!", "…", "+", "€", "｜", "中", "龥", "\u9FA6", "ア", "・", "ー", "\u3040", "゛", "\u3099", "😀", "\u200D",
	"\x00", "\u200B", "\uE000", "\U000E0001", "\U000323AF", "\U000105ED", "\xff", "\xe4\xb8", "\xed\xa0\x80",
}

func TestScannersEqualRegexes(t *testing.T) {
	rng := detrand.Key(1, "pretoken scan")
	rounds := 4000
	if testing.Short() {
		rounds = 400
	}
	for name, patterns := range sequences {
		fast, slow := byScanner(t, patterns...), byEngine(t, patterns...)
		at := uint64(0)
		for range rounds {
			var b strings.Builder
			for n := rng.Uint64nAt(at, 12); n > 0; n-- {
				at++
				b.WriteString(tricky[rng.Uint64nAt(at, uint64(len(tricky)))])
			}
			at++
			check(t, name, fast, slow, b.String())
		}
		check(t, name, fast, slow, tokenizertest.Mixed(77))
		if t.Failed() {
			return
		}
	}
}

func FuzzScanners(f *testing.F) {
	f.Add("Hello, world! I'LL 12345 中文カタ・カナ\r\n \n x")
	pipes := map[string][2]*Pipeline{}
	for name, patterns := range sequences {
		pipes[name] = [2]*Pipeline{byScanner(f, patterns...), byEngine(f, patterns...)}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, p := range pipes {
			check(t, name, p[0], p[1], text)
		}
	})
}

// Each character class as the scanners see it, against the engine on the translated pattern and on its
// own, where the versions of Unicode agree.
func TestClasses(t *testing.T) {
	for pattern, bit := range map[string]class{
		`\p{L}`: letter, `\p{M}`: mark, `\p{N}`: number, `\p{P}`: punct, `\p{S}`: symbol, `\s`: space, `[\r\n]`: newline, DeepSeekCJK[:len(DeepSeekCJK)-1]: cjk,
	} {
		re, err := CompileRegex(pattern)
		if err != nil {
			t.Fatal(err)
		}
		raw := regexp2.MustCompile(pattern, regexp2.None)
		differ := 0
		last := rune(0x1FFFF)
		if testing.Short() {
			last = 0x2FFF
		}
		for r := rune(0); r <= last; r++ {
			if 0xD800 <= r && r < 0xE000 {
				continue
			}
			is := classOf(r)&bit != 0
			if got, _ := re.re.MatchRunes([]rune{r}); got != is {
				t.Fatalf("%s matches %U: %t, class says %t", pattern, r, got, is)
			}
			if got, _ := raw.MatchRunes([]rune{r}); got != is {
				differ++
			}
		}
		if differ > 6000 {
			t.Errorf("%s: %d characters differ from the engine's own tables", pattern, differ)
		}
	}
}

func TestBehaviorCheck(t *testing.T) {
	if err := Behavior("isolated").Check(); err == nil {
		t.Error("behavior isolated: no error, but names are case-sensitive")
	}
}

func TestTranslate(t *testing.T) {
	for in, want := range map[string]string{
		`a++b`:      `(?>a+)b`,
		`(ab|c)*+d`: `(?>(ab|c)*)d`,
		`[ab]?+`:    `(?>[ab]?)`,
		`\x{41}+?`:  `\u0041+?`,
		`x{1,3}?`:   `x{1,3}?`,
		`x{1,3}y++`: `x{1,3}(?>y+)`,
		`^a$`:       `(?m:^)a(?m:$)`,
		`[^\]$^]`:   `[^\]$^]`,
		`[]a]`:      `[]a]`,
		`(?i:a)+`:   `(?i:a)+`,
		`\x{1F600}`: `😀`,
		`(?<!a)b`:   `(?<!a)b`,
		`1++`:       `(?>1+)`,
	} {
		if got, err := translate(in); err != nil || got != want {
			t.Errorf("translate %q: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		`\h`, `[[:alpha:]]`, `[a&&b]`, `(?m:a)`, `(?`, `a)`, `\`, `[a`, `\p`, `\pL`, `\p{^L}`, `\x{}`, `\x{110000}`, `x{2}+`, `(?#c)`, `(?i`, `\K`,
		strings.Repeat("a", maxPattern+1), strings.Repeat(`\w`, 1000), strings.Repeat("(", 100),
	} {
		if got, err := translate(in); err == nil {
			t.Errorf("translate %.40q: got %.40q, want an error", in, got)
		}
	}
}

func TestAlphabet(t *testing.T) {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	mapped := MapBytes(string(all[:]))
	if got, ok := UnmapBytes(mapped); !ok || got != string(all[:]) {
		t.Errorf("bytes do not survive the byte-level alphabet: %q", mapped)
	}
	if !strings.HasPrefix(MapBytes(" \n"), "ĠĊ") {
		t.Errorf("blank and line feed: got %q", MapBytes(" \n"))
	}
	if _, ok := UnmapBytes("中"); ok {
		t.Error("中 stands for a byte")
	}
}

func BenchmarkScan(b *testing.B) {
	text := tokenizertest.Mixed(0)
	english := strings.Repeat("Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. ", 600)
	for _, name := range []string{"gpt2", "llama3", "deepseek"} {
		p := byScanner(b, sequences[name]...)
		for kind, s := range map[string]string{"mixed": text, "english": english} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.SetBytes(int64(len(s)))
				for b.Loop() {
					for pos, limit := 0, 0; pos < len(s); {
						pos, limit = p.Next(s, pos, limit)
					}
				}
			})
		}
	}
}
