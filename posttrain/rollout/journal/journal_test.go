package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain/reward"
)

var header = Header{
	Config: sha256.Sum256([]byte("c")), Questions: sha256.Sum256([]byte("q")), Policy: sha256.Sum256([]byte("p")),
	Seed: 7, Number: 2, First: 40, Prompts: 3, Group: 2, Tokens: 50, Waves: 2,
}

var fast = durabletest.NoSync(durable.OS)

// routesOf are some bytes.
func routesOf(answer int) []byte { return bytes.Repeat([]byte{'r', byte(answer)}, answer) }

var asked = []Question{{Index: 9, Place: "q.jsonl:10", Tokens: []int32{5, 129000}}, {Index: 2, Place: "q.jsonl:3", Thinking: true, Tokens: []int32{7}}, {Tokens: []int32{1}}}

// write makes a round's file: questions, passes of several answers, ends, verdicts, arrays, marks,
// and a seal.
func write(t testing.TB, fs durable.FS, path string, seal bool) (*State, error) {
	t.Helper()
	j, s, err := Open(fs, path, &header)
	if err != nil {
		return s, err
	}
	defer j.Close()
	if err := j.Questions(0, asked[:2]); err != nil {
		return s, err
	}
	rnd := detrand.Key(5, "journal")
	for pass := range 9 {
		var adds []Add
		for a := range 6 {
			if (pass+a)%3 == 0 && pass < 8 {
				continue
			}
			add := Add{Answer: a}
			for k := range 1 + a%2 {
				p := float32(rnd.Float64At(uint64(100*pass+10*a+k))) - 2
				add.Tokens, add.LogProb, add.Sampled = append(add.Tokens, int32(1000*a+k)), append(add.LogProb, p), append(add.Sampled, p-float32(a/4))
			}
			if pass == 8 && a != 5 {
				add.Reason = []generate.Reason{generate.EOS, generate.Stopped, generate.Length, generate.Context}[a%4]
			}
			adds = append(adds, add)
		}
		if err := j.Tokens(adds, func(a int) ([]byte, error) { return routesOf(a), nil }); err != nil {
			return s, err
		}
		if pass == 3 {
			if err := j.Sync(); err != nil {
				return s, err
			}
		}
		if err := j.Flush(pass%4 == 2); err != nil {
			return s, err
		}
	}
	for a := range 5 {
		v := reward.Verdict{Total: float64(a) / 3, Parts: []reward.Part{{Name: "numeric", Weight: 1, Score: reward.Score{Value: float64(a), Reason: "want 7"}}}}
		if a == 2 {
			v = reward.Verdict{Failed: true, Parts: []reward.Part{{Name: "command", Weight: 0.5, Error: "no answer in 10s"}}}
		}
		if err := j.Verdict(a, &v); err != nil {
			return s, err
		}
	}
	read, err := Read(path)
	if err != nil {
		return s, err
	}
	for a := range 5 {
		if err := j.Array(a, a%2, make([]float32, len(read.Answers[a].Tokens))); err != nil {
			return s, err
		}
	}
	if !seal {
		return s, nil
	}
	return s, j.Seal(3, sha256.Sum256([]byte("round")))
}

// file is a whole one's bytes.
func file(t testing.TB, seal bool) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "000002.rollout")
	if _, err := write(t, fast, path, seal); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decoded(b []byte) (*State, error) {
	return decode("f", bytes.NewReader(b), int64(len(b)))
}

// prefix holds a state to be an earlier one of all.
func prefix(t testing.TB, s, all *State) {
	t.Helper()
	for i, a := range s.Answers {
		b := all.Answers[i]
		n := len(a.Tokens)
		if b == nil || n > len(b.Tokens) || !slices.Equal(a.Tokens, b.Tokens[:n]) || !slices.Equal(a.LogProb, b.LogProb[:n]) || !slices.Equal(a.Sampled, b.Sampled[:n]) {
			t.Fatalf("answer %d is %+v, want the beginning of %+v", i, a, b)
		}
		if a.Reason != 0 && (a.Reason != b.Reason || n != len(b.Tokens)) || a.Verdict != nil && !reflect.DeepEqual(a.Verdict, b.Verdict) {
			t.Fatalf("answer %d is %+v, want %+v", i, a, b)
		}
		if a.Reason != 0 && i != 5 && !bytes.Equal(a.Routes, b.Routes) {
			t.Fatalf("answer %d has ended, with %d bytes of routes", i, len(a.Routes))
		}
	}
}

// TestReadsWhatWasWritten: every field comes back.
func TestReadsWhatWasWritten(t *testing.T) {
	s, err := decoded(file(t, true))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Sealed || s.Asked != 3 || s.Digest != sha256.Sum256([]byte("round")) || s.Header != header || len(s.Answers) != 6 || s.Torn != 0 {
		t.Errorf("got %+v", s)
	}
	if !reflect.DeepEqual(s.Questions, asked[:2]) {
		t.Errorf("questions are %+v", s.Questions)
	}
	a := s.Answers[3]
	if a.Tokens[0] != 3000 || len(a.Tokens) != 12 || a.Reason != generate.Context || a.Verdict.Parts[0].Reason != "want 7" || len(a.Arrays[1]) != 12 || a.Arrays[0] != nil {
		t.Errorf("got %+v", a)
	}
	if a := s.Answers[4]; a.LogProb[0]-1 != a.Sampled[0] {
		t.Errorf("drawn with %v, want %v less 1", a.Sampled[0], a.LogProb[0])
	}
	if v := s.Answers[2].Verdict; !v.Failed || v.Parts[0].Error != "no answer in 10s" {
		t.Errorf("got %+v", v)
	}
	for i := range 5 {
		want := routesOf(i)
		if got := s.Answers[i].Routes; !bytes.Equal(got, want) {
			t.Errorf("answer %d has routes %v, want %v", i, got, want)
		}
	}
	if s.Answers[5].Reason != generate.Running || s.Answers[5].Routes != nil {
		t.Errorf("got %+v", s.Answers[5])
	}
}

// TestTornAtEveryByte: what is left is the beginning of what there was, and can be
// written on.
func TestTornAtEveryByte(t *testing.T) {
	whole := file(t, true)
	all, err := decoded(whole)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for n := range whole {
		s, err := decoded(whole[:n])
		if n < headerSize {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("%d bytes: got %v", n, err)
			}
			continue
		}
		if err != nil || s.Sealed || s.Size+s.Torn != int64(n) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		prefix(t, s, all)
		if n%7 != 0 {
			continue
		}
		path := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(path, whole[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		j, before, err := Open(fast, path, &header)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Tokens([]Add{{Answer: 5, Tokens: []int32{1}, LogProb: []float32{1}, Sampled: []float32{1}}}, nil); err != nil {
			t.Fatal(err)
		}
		j.Close()
		after, err := Read(path)
		if err != nil || after.Torn != 0 {
			t.Fatalf("%d bytes, one pass more: %v", n, err)
		}
		delete(after.Answers, 5)
		delete(before.Answers, 5)
		if !reflect.DeepEqual(after.Answers, before.Answers) {
			t.Fatalf("%d bytes: one pass more changed other answers", n)
		}
	}
}

// TestFlippedAtEveryByte: what had reached the disk is refused, with the place; what
// had not is dropped. Nothing passes.
func TestFlippedAtEveryByte(t *testing.T) {
	for _, sealed := range []bool{true, false} {
		whole := file(t, sealed)
		all, err := decoded(whole)
		if err != nil {
			t.Fatal(err)
		}
		promised := all.durable
		for n := range whole {
			for _, bit := range []byte{1, 0x80} {
				b := slices.Clone(whole)
				b[n] ^= bit
				s, err := decoded(b)
				var damage *DamagedError
				if int64(n) < promised {
					if !errors.As(err, &damage) || damage.Offset > int64(n) || !strings.Contains(err.Error(), "is damaged at byte") {
						t.Fatalf("byte %d of %d, on the disk: got %v", n, len(whole), err)
					}
					continue
				}
				if err != nil || s.Sealed || s.Size > int64(n) {
					t.Fatalf("byte %d of %d, perhaps not on the disk: %v", n, len(whole), err)
				}
				prefix(t, s, all)
			}
		}
	}
}

// TestHolesAfterPowerCut: of what was never on the disk any part may be missing, with
// later parts there.
func TestHolesAfterPowerCut(t *testing.T) {
	whole := file(t, false)
	all, err := decoded(whole)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		b := slices.Clone(whole)
		lo := rapid.IntRange(int(all.durable), len(b)-1).Draw(rt, "from")
		hi := rapid.IntRange(lo+1, len(b)).Draw(rt, "to")
		clear(b[lo:hi])
		s, err := decoded(b)
		if err != nil {
			rt.Fatalf("zeros in [%d, %d): %v", lo, hi, err)
		}
		prefix(t, s, all)
	})
}

// TestForeignFilesAreRefused: by the field that differs.
func TestForeignFilesAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if _, err := write(t, fast, path, true); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(h *Header){
		"round": func(h *Header) { h.Number++ }, "first question": func(h *Header) { h.First++ }, "seed": func(h *Header) { h.Seed++ },
		"set of questions": func(h *Header) { h.Questions[0]++ }, "configuration": func(h *Header) { h.Config[0]++ }, "policy": func(h *Header) { h.Policy[0]++ },
		"shape": func(h *Header) { h.Tokens++ },
	} {
		h := header
		change(&h)
		_, _, err := Open(fast, path, &h)
		var other *MismatchError
		if !errors.As(err, &other) || !strings.Contains(err.Error(), "is of another "+what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("not a rollout "), 30), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(fast, path, &header); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "it begins with") {
		t.Errorf("got %v", err)
	}
}

// TestFailingDisk: every call fails once, as "failed" and as "happened, but the reply
// was lost", with the process going on, dying, or losing power. What Sync or Seal
// acknowledged is there afterwards, and the rest can be written again.
func TestFailingDisk(t *testing.T) {
	clean := &durabletest.Faulty{FS: fast}
	if _, err := write(t, clean, filepath.Join(t.TempDir(), "f"), true); err != nil {
		t.Fatal(err)
	}
	want, err := decoded(file(t, true))
	if err != nil {
		t.Fatal(err)
	}
	for at := 1; at <= clean.Calls(); at++ {
		for _, mode := range []string{"failed", "lost", "failed+death", "lost+death", "failed+power", "lost+power"} {
			path := filepath.Join(t.TempDir(), "f")
			fs := &durabletest.Faulty{FS: fast, FailAt: at, Lost: strings.HasPrefix(mode, "lost"), Dead: strings.Contains(mode, "+")}
			_, err := write(t, fs, path, true)
			if strings.HasSuffix(mode, "power") {
				if err := fs.PowerCut(); err != nil {
					t.Fatal(err)
				}
			}
			s, readErr := Read(path)
			if errors.Is(readErr, os.ErrNotExist) {
				if err == nil || at > 7 {
					t.Fatalf("call %d (%s) %v: the file is lost", at, mode, fs.Log())
				}
				continue
			}
			if readErr != nil {
				t.Fatalf("call %d (%s): %v", at, mode, readErr)
			}
			if err == nil && !s.Sealed {
				t.Fatalf("call %d (%s): the seal is lost", at, mode)
			}
			if !s.Sealed {
				prefix(t, s, want)
				if _, _, err := Open(fast, path, &header); err != nil {
					t.Fatalf("call %d (%s): %v", at, mode, err)
				}
			}
		}
	}
}

// TestFullDisk says what to do.
func TestFullDisk(t *testing.T) {
	fs := &durabletest.Faulty{FS: fast, FailAt: 12, Err: syscall.ENOSPC}
	_, err := write(t, fs, filepath.Join(t.TempDir(), "f"), true)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "sampled before is kept: free some space") {
		t.Errorf("got %v", err)
	}
}

// framed is a file with a frame of any content at its end.
func framed(begin []byte, kind byte, payload []byte) []byte {
	salt := binary.LittleEndian.Uint32(begin[headerSize-4:])
	return appendFrame(slices.Clone(begin), salt, int64(len(begin)), kind, payload)
}

// TestImpossibleContent: frames that are whole and say what cannot be are refused.
func TestImpossibleContent(t *testing.T) {
	begin := file(t, false)
	tokens := func(adds ...Add) []byte { return appendTokens(nil, adds) }
	one := Add{Tokens: []int32{1}, LogProb: []float32{0}, Sampled: []float32{0}}
	ended, far, long := one, one, one
	ended.Answer, far.Answer, long.Answer = 1, 12, 5
	long.Tokens, long.LogProb, long.Sampled = make([]int32, 60), make([]float32, 60), make([]float32, 60)
	nan := appendVerdict(nil, 5, &reward.Verdict{})
	binary.LittleEndian.PutUint64(nan[2:], 0x7ff8<<48)
	for name, f := range map[string][]byte{
		"after its end": framed(begin, kindTokens, tokens(ended)),
		"answer 12":     framed(begin, kindTokens, tokens(far)),
		"72 tokens":     framed(begin, kindTokens, tokens(long)),
		"ends with":     framed(begin, kindTokens, tokens(Add{Answer: 5, Reason: generate.Failed})),
		"twice":         framed(begin, kindVerdict, appendVerdict(nil, 1, &reward.Verdict{})),
		"not ended":     framed(begin, kindVerdict, appendVerdict(nil, 5, &reward.Verdict{})),
		"no valid":      framed(begin, kindVerdict, nan),
		"an array of 2": framed(begin, kindArray, appendArray(nil, 1, 0, []float32{1, 2})),
		"there are 2":   framed(begin, kindArray, appendArray(nil, 1, 2, nil)),
		"answer 12 of":  framed(begin[:headerSize], kindRoutes, []byte{12}),
		"gets routes":   framed(begin, kindRoutes, []byte{1, 'r'}),
		"question 5":    framed(begin, kindAsked, appendQuestion(nil, 5, &asked[0])),
		"question 1":    framed(begin, kindAsked, appendQuestion(nil, 1, &asked[0])),
		"unknown kind":  framed(begin, 'x', nil),
		"checksum and":  framed(begin, kindMark, []byte{255, 255, 255, 255, 255, 255, 255, 127}),
		"follow":        append(file(t, true), 0),
	} {
		if _, err := decoded(f); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzDecode: a hostile file is refused or read, and takes no more memory than a small
// multiple of its size.
func FuzzDecode(f *testing.F) {
	whole := file(f, true)
	f.Add(whole, byte(0), []byte(nil))
	f.Add(whole[:len(whole)/2], byte(0), []byte(nil))
	begin := file(f, false)
	for _, kind := range []byte{kindAsked, kindTokens, kindVerdict, kindArray, kindRoutes, kindMark, kindSeal} {
		f.Add(begin, kind, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
		f.Add(begin[:headerSize], kind, []byte{0, 0xf1, 1, 200, 1, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5})
	}
	f.Fuzz(func(t *testing.T, b []byte, kind byte, payload []byte) {
		if kind != 0 && len(b) >= headerSize { // with a right checksum
			b = framed(b, kind, payload)
		}
		s, err := decoded(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		if s.Size+s.Torn != int64(len(b)) || s.durable > s.Size {
			t.Fatalf("%d and %d bytes of %d, %d of them on the disk", s.Size, s.Torn, len(b), s.durable)
		}
		held := 0
		for _, q := range s.Questions {
			held += 1 + len(q.Tokens) + len(q.Place)
		}
		for _, a := range s.Answers {
			held += 1 + len(a.Tokens) + cap(a.Arrays[0]) + cap(a.Arrays[1])
			held += len(a.Routes)
		}
		if held > 4*len(b) {
			t.Fatalf("%d numbers from %d bytes", held, len(b))
		}
	})
}

// many are passes of 64 answers of 2,000 tokens.
func many(b *testing.B, path string) {
	b.Helper()
	h := header
	h.Prompts, h.Group, h.Waves, h.Tokens = 8, 8, 1, 2000
	_ = os.Remove(path)
	j, _, err := Open(durable.OS, path, &h)
	if err != nil {
		b.Fatal(err)
	}
	adds := make([]Add, 64)
	for pass := range 2000 {
		for a := range adds {
			p := float32(pass%37) / -7
			adds[a] = Add{Answer: a, Tokens: []int32{int32(pass * 64 % 129280)}, LogProb: []float32{p}, Sampled: []float32{p}}
		}
		if err := j.Tokens(adds, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := j.Sync(); err != nil {
		b.Fatal(err)
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWrite and BenchmarkRead are of 128,000 tokens, in 2,000 passes of 64.
func BenchmarkWrite(b *testing.B) {
	path := filepath.Join(b.TempDir(), "f")
	for b.Loop() {
		many(b, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/128000, "bytes/token")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/2000*1e6, "µs/pass")
}

func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "f")
	many(b, path)
	for b.Loop() {
		if _, err := Read(path); err != nil {
			b.Fatal(err)
		}
	}
}
