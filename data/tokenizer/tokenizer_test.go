package tokenizer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/temper-ml/temper/data/tokenizer/tokenizertest"
)

// kinds are the tokenizers under testdata.
func kinds(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".json"); name != "expected" {
			names = append(names, name)
		}
	}
	if len(names) < 10 {
		t.Fatalf("testdata has %d tokenizers, want at least 10", len(names))
	}
	return names
}

// lossless are the tokenizers whose text survives encoding and decoding, bytes that are not UTF-8 too.
var lossless = []string{"deepseek", "falcon", "gpt2", "llama3", "o200k", "possessive", "starcoder"}

func TestRoundTrip(t *testing.T) {
	text := tokenizertest.Mixed(500) + "\xff\xfe broken \xe4\xb8 \xed\xa0\x80 \xf4\x90\x80\x80"
	for _, name := range lossless {
		tok := load(t, name)
		if got := string(tok.AppendDecode(nil, tok.Encode(text, false))); got != text {
			t.Errorf("%s: text changes on the way through ids", name)
		}
		if got := tok.Decode(tok.Encode("\xff", false)); got != "\uFFFD" {
			t.Errorf("%s: a broken byte decodes to %q, want U+FFFD", name, got)
		}
	}
}

func TestControlTokensInUserText(t *testing.T) {
	tok := load(t, "deepseek")
	think, _ := tok.Special(V4Think)
	text := "a " + V4User + "b" + V4Think + V4EOS + "｜DSML｜"
	for _, id := range tok.Encode(text, false) {
		if int(id) < len(V4Specials()) {
			token, _ := tok.Token(id)
			t.Errorf("user text gave control token %q", token)
		}
	}
	if got := tok.Encode(V4Think, true); !slices.Equal(got, []int32{think}) {
		t.Errorf("template text %s: got %d, want [%d]", V4Think, got, think)
	}
	if got := tok.Decode(tok.Encode(text, false)); got != text {
		t.Errorf("user text decodes to %q, want %q", got, text)
	}
}

// A merge that makes a control token, or a word that is one, must not open the back door.
func TestControlTokensByMerges(t *testing.T) {
	for _, ignore := range []bool{false, true} {
		src := fmt.Sprintf(`{"added_tokens":[{"id":4,"content":"<s>","special":true}],
			"pre_tokenizer":{"type":"ByteLevel","use_regex":false},
			"model":{"type":"BPE","ignore_merges":%t,"vocab":{"<":0,"s":1,">":2,"<s":3,"<s>":4},"merges":["< s","<s >"]}}`, ignore)
		tok, err := Parse([]byte(src))
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode("<s>", false); !slices.Equal(got, []int32{3, 2}) {
			t.Errorf("ignore_merges %t: <s> in user text: got %d, want [3 2]", ignore, got)
		}
		if got := tok.Encode("<s>", true); !slices.Equal(got, []int32{4}) {
			t.Errorf("ignore_merges %t: <s> in a template: got %d, want [4]", ignore, got)
		}
	}
}

func TestStreamEqualsDecode(t *testing.T) {
	text := tokenizertest.Mixed(501)[:6000]
	for _, name := range kinds(t) {
		tok := load(t, name)
		ids := tok.Encode(text, true)
		var b strings.Builder
		s := tok.NewStream()
		for _, id := range ids {
			part := s.Push(id)
			if strings.Contains(part, "\uFFFD") && !strings.Contains(text, "\uFFFD") {
				t.Fatalf("%s: the stream broke a character", name)
			}
			b.WriteString(part)
		}
		b.WriteString(s.Flush())
		if want := tok.Decode(ids); b.String() != want {
			t.Errorf("%s: streamed and whole text differ", name)
		}
	}
}

func TestStreamOfBrokenText(t *testing.T) {
	tok := load(t, "gpt2")
	for _, text := range []string{"\xe4", "\xe4\xb8", "a\xe4\xb8b", "\xf0\x9f\x98", "\xf0\x9f\x98x", "\xff", "\xed\xa0\x80", "\xe4\xe4\xb8\xad", "\xc3"} {
		var b strings.Builder
		s := tok.NewStream()
		for i := range len(text) {
			b.WriteString(s.Push(tok.Encode(text[i:i+1], false)[0]))
		}
		b.WriteString(s.Flush())
		if want := toValid([]byte(text)); b.String() != want {
			t.Errorf("%q byte by byte: got %q, want %q", text, b.String(), want)
		}
	}
	if got := tok.Decode([]int32{-1, 1 << 30}); got != "" {
		t.Errorf("ids without a token decode to %q", got)
	}
}

func TestConcurrentEncoding(t *testing.T) {
	tok := load(t, "deepseek")
	fresh := load(t, "deepseek")
	text := tokenizertest.Mixed(502)
	want := fresh.Encode(text, true)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 3 {
				if got := tok.Encode(text, true); !slices.Equal(got, want) {
					t.Error("ids differ between goroutines")
				}
			}
		})
	}
	wg.Wait()
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	for _, name := range []string{"gpt2", "llama3", "deepseek"} {
		tok := load(t, name)
		text := strings.Repeat("Natalia sold clips to 48 of her friends in April. 中文\n", 20)
		dst := tok.Encode(text, false)
		if n := testing.AllocsPerRun(50, func() { dst = tok.AppendEncode(dst[:0], text, false) }); n != 0 {
			t.Errorf("%s: AppendEncode allocates %v times, want 0", name, n)
		}
	}
}

func TestCanonicalFile(t *testing.T) {
	for _, name := range kinds(t) {
		tok := load(t, name)
		data, err := tok.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(data)
		if err != nil {
			t.Fatalf("%s: own file: %v", name, err)
		}
		if again.Digest() != tok.Digest() {
			t.Errorf("%s: the digest changes on the way through a file", name)
		}
		text := tokenizertest.Mixed(503)[:8000]
		if !slices.Equal(again.Encode(text, true), tok.Encode(text, true)) {
			t.Errorf("%s: ids change on the way through a file", name)
		}
	}
	a, b := load(t, "gpt2").Digest(), load(t, "deepseek").Digest()
	if a == b {
		t.Error("two tokenizers have one digest")
	}
}

// The spelling of a file does not matter to the digest, its content does.
func TestDigest(t *testing.T) {
	parse := func(src string) *Tokenizer {
		t.Helper()
		tok, err := Parse([]byte(src))
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	a := parse(`{"version":"1.0","pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"model":{"vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}`)
	b := parse(`{"model":{"merges":[["a","b"]],"type":"BPE","vocab":{"ab":2,"a":0,"b":1}},"pre_tokenizer":{"add_prefix_space":false,"type":"ByteLevel"}}`)
	c := parse(`{"model":{"merges":[],"type":"BPE","vocab":{"ab":2,"a":0,"b":1}},"pre_tokenizer":{"add_prefix_space":false,"type":"ByteLevel"}}`)
	if a.Digest() != b.Digest() {
		t.Error("two spellings of one tokenizer have two digests")
	}
	if a.Digest() == c.Digest() {
		t.Error("two tokenizers have one digest")
	}
}

func TestParseRefuses(t *testing.T) {
	const model = `"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`
	const byteLevel = `"pre_tokenizer":{"type":"ByteLevel"}`
	for src, want := range map[string]string{
		``:                                  "EOF",
		`{`:                                 "unexpected EOF",
		`[]`:                                "cannot unmarshal",
		`{}`:                                "no model",
		`{"model":null}`:                    "no model",
		`{"version":"2.0",` + model + `}`:   `version "2.0"`,
		`{"extra":1,` + model + `}`:         `unknown field "extra"`,
		`{` + model + `} x`:                 "data after",
		`{"model":{"type":"WordPiece"}}`:    `type "WordPiece" is not supported, want BPE`,
		`{"model":{"type":"Unigram"}}`:      `type "Unigram"`,
		`{"model":{"type":"BPE"}}`:          "vocab is missing",
		`{` + model + `}`:                   "decoder: null",
		`{"model":{"vocab":{},"beam":1}}`:   `unknown field "beam"`,
		`{"model":{"vocab":{"a":-1}}}`:      "id -1",
		`{"model":{"vocab":{"a":1e9}}}`:     "1e9",
		`{"model":{"vocab":{"":0}}}`:        "a token is empty",
		`{"model":{"vocab":{"a":999999}}}`:  "id 999999 of token",
		`{"model":{"vocab":{"a":0,"b":0}}}`: `id 0 belongs to both "a" and "b"`,
		`{"model":{"vocab":{"a":0},"dropout":0.1}}`:                                                                                                   "dropout 0.1",
		`{"model":{"vocab":{"a":0},"merges":["a b"]}}`:                                                                                                `merge 0: "b" is not in the vocabulary`,
		`{"model":{"vocab":{"a":0,"b":1},"merges":["a b"]}}`:                                                                                          `gives "ab", which is not in the vocabulary`,
		`{"model":{"vocab":{"a":0},"merges":["a b c"]}}`:                                                                                              "one blank between",
		`{"model":{"vocab":{"a":0},"merges":[["a"]]}}`:                                                                                                "2 tokens",
		`{"model":{"vocab":{"a":0},"unk_token":"u"}}`:                                                                                                 `unknown token "u"`,
		`{"normalizer":{"type":"BertNormalizer"},` + model + `}`:                                                                                      "normalizer: BertNormalizer: not supported",
		`{"normalizer":{"type":"Precompiled"},` + model + `}`:                                                                                         "Precompiled",
		`{"normalizer":{"type":"Replace","pattern":{},"content":""},` + model + `}`:                                                                   "pattern",
		`{"pre_tokenizer":{"type":"Metaspace"},` + model + `}`:                                                                                        "pre_tokenizer: Metaspace: not supported",
		`{"pre_tokenizer":{"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"},` + model:                                                    "EOF",
		`{"pre_tokenizer":{"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"},` + model + `}`:                                              `pattern "("`,
		`{"pre_tokenizer":{"type":"Split","pattern":{"Regex":"a"},"behavior":"Lost"},` + model + `}`:                                                  `behavior "Lost"`,
		`{"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"ByteLevel"}]},` + model + `}`:                             "second ByteLevel",
		`{"post_processor":{"type":"RobertaProcessing","sep":["</s>",9],"cls":["<s>",0]},` + byteLevel + `,` + model + `}`:                            "id 9 has no token",
		`{"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"special_tokens":{}},` + byteLevel + `,` + model + `}`: `"x" is not among`,
		`{"decoder":{"type":"WordPiece"},` + byteLevel + `,` + model + `}`:                                                                            `decoder: type "WordPiece" is not supported`,
		`{"added_tokens":[{"id":1,"content":"a"}],` + byteLevel + `,` + model + `}`:                                                                   `"a" has id 1, but 0 in the vocabulary`,
		`{"added_tokens":[{"id":1,"content":"x"}],` + byteLevel + `,` + model + `}`:                                                                   `id 1 belongs to both "b" and "x"`,
		`{"added_tokens":[{"id":3,"content":""}],` + byteLevel + `,` + model + `}`:                                                                    "no content",
		`{"added_tokens":[{"id":3,"content":"x"},{"id":4,"content":"x"}],` + byteLevel + `,` + model + `}`:                                            `"x" stands there twice`,
		`{"pre_tokenizer":` + strings.Repeat(`{"type":"Sequence","pretokenizers":[`, 40) + strings.Repeat(`]}`, 40) + `,` + model + `}`:               "nested deeper than 16",
	} {
		if _, err := Parse([]byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %q", src, err, want)
		}
	}
	if _, err := Load("testdata"); err == nil || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Errorf("directory without a tokenizer.json: got %v", err)
	}
}

func TestSave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	tok := load(t, "deepseek")
	if err := tok.Save(dir, V4Roles(4096)); err != nil {
		t.Fatal(err)
	}
	again, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Digest() != tok.Digest() {
		t.Error("the saved tokenizer is another one")
	}
	data, err := os.ReadFile(filepath.Join(dir, "tokenizer_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	if config["bos_token"] != V4BOS || config["pad_token"] != V4EOS || config["model_max_length"] != 4096.0 || config["unk_token"] != nil {
		t.Errorf("tokenizer_config.json: got %s", data)
	}
	if err := tok.Save(dir, Roles{BOS: "<s>"}); err == nil {
		t.Error("a role for a token that does not exist: no error")
	}
}

func TestV4Specials(t *testing.T) {
	for i, a := range V4Specials() {
		if a.ID != int32(i) || !a.control() {
			t.Errorf("token %d, %q: id %d, control %t", i, a.Content, a.ID, a.control())
		}
	}
	for name, want := range map[string]int32{V4BOS: 0, V4EOS: 1, V4Pad: 2, V4User: 3, V4Assistant: 4, V4Think: 5, V4ThinkEnd: 6, V4DSML: 7} {
		if got, ok := load(t, "deepseek").Special(name); !ok || got != want {
			t.Errorf("%s: id %d, want %d", name, got, want)
		}
	}
}

func FuzzEncodeDecode(f *testing.F) {
	f.Add("Hello <think> 世界 \xff")
	f.Add(tokenizertest.Mixed(9)[:300])
	var toks []*Tokenizer
	for _, name := range lossless {
		toks = append(toks, load(f, name))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for i, tok := range toks {
			ids := tok.Encode(text, false)
			if got := string(tok.AppendDecode(nil, ids)); got != text {
				t.Errorf("%s: %q comes back as %q", lossless[i], text, got)
			}
			for _, id := range ids {
				if token, ok := tok.Token(id); !ok {
					t.Errorf("%s: %q gives id %d, which has no token", lossless[i], text, id)
				} else if a := tok.added[token]; a != nil && a.control() {
					t.Errorf("%s: %q gives control token %q", lossless[i], text, token)
				}
			}
			tok.Decode(tok.Encode(text, true))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]},"pre_tokenizer":{"type":"ByteLevel"}}`))
	for _, name := range []string{"clip", "llama2", "roberta", "falcon", "unknown"} {
		data, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		var whole map[string]any
		if err := json.Unmarshal(data, &whole); err != nil {
			f.Fatal(err)
		}
		whole["model"] = map[string]any{"type": "BPE", "vocab": map[string]int{"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4}, "merges": []any{[]string{"a", "b"}}}
		small, err := json.Marshal(whole)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(small)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Parse(data)
		if err != nil {
			return
		}
		for _, text := range []string{"", "ab <s>aab\n", "é\xff1"} {
			tok.Decode(tok.Encode(text, true))
			tok.Encode(text, false)
		}
		out, err := tok.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(out)
		if err != nil {
			t.Fatalf("own file: %v\n%s", err, out)
		}
		if again.Digest() != tok.Digest() {
			t.Errorf("the digest changes on the way through a file")
		}
	})
}
