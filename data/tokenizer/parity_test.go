package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/temper-ml/temper/data/tokenizer/internal/pretoken"
	"github.com/temper-ml/temper/data/tokenizer/tokenizertest"
)

// expected is testdata/expected.json; make_fixtures.py says what it holds.
type expected struct {
	Tokenizers map[string]struct {
		Blocks []struct{ Allow, Deny idsDigest }
		Probes []struct {
			Text, Decoded, Skipped, Broken string
			Allow, Deny                    []int32
		}
		EncodedX []int32 `json:"encoded_x"`
	}
	Splits []struct {
		Stage  json.RawMessage
		Pieces [][]string
	}
	SplitTexts []string `json:"split_texts"`
	Trained    []struct {
		PreTokenizer string `json:"pre_tokenizer"`
		VocabSize    int    `json:"vocab_size"`
		MinFrequency int    `json:"min_frequency"`
		Special      []string
		Tokens       int
		Merges       int
		SHA256       string
	}
}

type idsDigest struct {
	N      int
	SHA256 string
}

func digestOf(ids []int32) idsDigest {
	data := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		data = binary.LittleEndian.AppendUint32(data, uint32(id))
	}
	sum := sha256.Sum256(data)
	return idsDigest{len(ids), hex.EncodeToString(sum[:])}
}

func loadExpected(t testing.TB) *expected {
	t.Helper()
	data, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var e expected
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	return &e
}

func load(t testing.TB, name string) *Tokenizer {
	t.Helper()
	tok, err := Load("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// The megabyte: every block of mixed text, every tokenizer, ids as Hugging Face tokenizers gives them.
func TestIDsEqualHuggingFaceOnMixedText(t *testing.T) {
	for name, want := range loadExpected(t).Tokenizers {
		t.Run(name, func(t *testing.T) {
			tok := load(t, name)
			for b, block := range want.Blocks {
				if testing.Short() && b > 0 {
					break
				}
				text := tokenizertest.Mixed(uint64(b))
				if got := digestOf(tok.Encode(text, true)); got != block.Allow {
					t.Errorf("block %d with special tokens: got %v, want %v", b, got, block.Allow)
				}
				if got := digestOf(tok.Encode(text, false)); got != block.Deny {
					t.Errorf("block %d without special tokens: got %v, want %v", b, got, block.Deny)
				}
			}
		})
	}
}

func TestProbesEqualHuggingFace(t *testing.T) {
	for name, want := range loadExpected(t).Tokenizers {
		t.Run(name, func(t *testing.T) {
			tok := load(t, name)
			for _, p := range want.Probes {
				got := tok.Encode(p.Text, true)
				if !slices.Equal(got, p.Allow) {
					t.Errorf("%q with special tokens\n got %d\nwant %d", p.Text, got, p.Allow)
				}
				if got := tok.Encode(p.Text, false); !slices.Equal(got, p.Deny) {
					t.Errorf("%q without special tokens\n got %d\nwant %d", p.Text, got, p.Deny)
				}
				if text := tok.Decode(p.Allow); text != p.Decoded {
					t.Errorf("decode %d\n got %q\nwant %q", p.Allow, text, p.Decoded)
				}
				if text := tok.DecodeText(p.Allow); text != p.Skipped {
					t.Errorf("decode %d without special tokens\n got %q\nwant %q", p.Allow, text, p.Skipped)
				}
				var odd []int32
				for i := 1; i < len(p.Allow); i += 2 {
					odd = append(odd, p.Allow[i])
				}
				if text := tok.Decode(odd); text != p.Broken {
					t.Errorf("decode %d\n got %q\nwant %q", odd, text, p.Broken)
				}
			}
			before, after := tok.Affixes()
			if got := slices.Concat(before, tok.Encode("x", true), after); !slices.Equal(got, want.EncodedX) {
				t.Errorf("x between affixes: got %d, want %d", got, want.EncodedX)
			}
		})
	}
}

func TestStagesEqualHuggingFace(t *testing.T) {
	e := loadExpected(t)
	for _, s := range e.Splits {
		stages, err := parsePreTokenizer(s.Stage, 0)
		if err != nil {
			t.Errorf("%s: %v", s.Stage, err)
			continue
		}
		p, err := pretoken.NewPipeline(stages)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range e.SplitTexts {
			got := p.Split(nil, text)
			if diff := cmp.Diff(s.Pieces[i], append([]string{}, got...)); diff != "" {
				t.Errorf("%s on %q (-want +got):\n%s", s.Stage, text, diff)
			}
		}
	}
}

// The comparison is worth what its text is worth.
func TestBlocksAreMixed(t *testing.T) {
	text := tokenizertest.Mixed(0)
	for _, part := range []string{"'ſ", "<|endoftext|>", "👨‍👩‍👧‍👦", "func main", "\r\n"} {
		if !strings.Contains(text, part) {
			t.Errorf("block 0 has no %q", part)
		}
	}
	if text != tokenizertest.Mixed(0) || text == tokenizertest.Mixed(1) {
		t.Error("a block is not a function of its number")
	}
}
