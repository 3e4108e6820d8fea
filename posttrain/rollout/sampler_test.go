package rollout

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/report/record/digest"
)

// letters is a tokenizer of 19 tokens, as many as the small models have: unknown,
// special ones, and letters from a on.
type letters struct{ names []string }

func (l letters) Encode(text string, _ bool) []int32 {
	var ids []int32
	for _, c := range []byte(text) {
		if c < 'a' || c >= 'a'+16 {
			c = 'a'
		}
		ids = append(ids, int32(c-'a')+3)
	}
	return ids
}

func (l letters) Decode(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		if id < 3 {
			if int(id) < len(l.names) {
				b.WriteString(l.names[id])
			}
			continue
		}
		b.WriteByte(byte('a' + id - 3))
	}
	return b.String()
}

func (l letters) Special(name string) (int32, bool) {
	i := slices.Index(l.names, name)
	return int32(i), i >= 0
}
func (letters) VocabSize() int            { return 19 }
func (letters) Digest() [sha256.Size]byte { return sha256.Sum256([]byte("letters")) }

// plainLetters are those with the special tokens of the plain encoding, of which the
// end has the id that the small models have.
func plainLetters(t testing.TB) letters {
	t.Helper()
	enc, err := chat.Lookup("plain")
	if err != nil {
		t.Fatal(err)
	}
	return letters{names: []string{enc.BOS(), enc.EOS()}}
}

func smallModel(t testing.TB) *deepseek.Model {
	t.Helper()
	return modelOf(t, deepseektest.SmallV4())
}

func modelOf(t testing.TB, cfg *arch.Config) *deepseek.Model {
	t.Helper()
	cfg.MaxPositions = min(cfg.MaxPositions, 128)
	m, err := deepseek.NewFrozen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range deepseektest.RandomParams(cfg, 9) {
		p := m.Param(name)
		for i, v := range values {
			p.Data[i] = float32(v)
		}
	}
	return m
}

// asked are n questions in letters.
func asked(t testing.TB, n int) *Questions {
	t.Helper()
	var rows []string
	s := detrand.Key(3, "test questions")
	for i := range n {
		var q strings.Builder
		for k := range 2 + i%7 {
			q.WriteByte(byte('a' + s.Uint64nAt(uint64(100*i+k), 16)))
		}
		rows = append(rows, fmt.Sprintf(`{"prompt": "%s%c%c", "want": "%c"}`, q.String(), 'a'+i/16, 'a'+i%16, 'a'+i%16))
	}
	d := posttrain.Data{Files: []string{written(t, "q.jsonl", rows...)}, Format: "auto", Encoding: "plain", Sequence: 100}
	q, _, _, err := Load(context.Background(), &d, plainLetters(t), 40, 11)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// options are those of a small stage.
func options(t testing.TB) Options {
	t.Helper()
	c := Default("grpo")
	c.Prompts, c.Group, c.MaxTokens, c.Sequences = 5, 4, 40, 6
	half := 0.5
	clock := time.Unix(0, 0)
	return Options{
		Now:    func() time.Time { clock = clock.Add(syncEvery / 3); return clock }, // every few passes the disk is waited for
		Config: c, Questions: asked(t, 13), Seed: Seed(1, "rl"),
		Rewards: []reward.Spec{{Name: "abc", Format: &reward.Format{Pattern: "[abc]", Anywhere: true}}, {Weight: &half, Length: &reward.Length{Max: 40, Margin: 10}}},
	}
}

// policyOf is what tests say the weights' digest is.
var policyOf = digest.Digest(sha256.Sum256([]byte("weights")))

// whole samples a round without interruption.
func whole(t testing.TB, o Options, m *deepseek.Model, number, first int64) *Round {
	t.Helper()
	s, err := NewSampler(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Sample(context.Background(), m, policyOf, number, first)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// same holds two rounds to be equal, token for token.
func same(t interface {
	Helper()
	Fatalf(string, ...any)
}, got, want *Round,
) {
	t.Helper()
	if len(got.Answers) != len(want.Answers) || got.Used != want.Used {
		t.Fatalf("%d answers to %d questions, want %d to %d", len(got.Answers), got.Used, len(want.Answers), want.Used)
	}
	for i := range want.Answers {
		a, b := &got.Answers[i], &want.Answers[i]
		if a.Cursor != b.Cursor || a.Sample != b.Sample || a.Question.Index != b.Question.Index || a.Reason != b.Reason || !slices.Equal(a.Tokens, b.Tokens) {
			t.Fatalf("answer %d is %v (%v), want %v (%v)", i, a.Tokens, a.Reason, b.Tokens, b.Reason)
		}
		for k := range b.Tokens {
			if math.Float32bits(a.LogProb[k]) != math.Float32bits(b.LogProb[k]) || math.Float32bits(a.Sampled[k]) != math.Float32bits(b.Sampled[k]) {
				t.Fatalf("answer %d, token %d: log-probabilities %v and %v, want %v and %v", i, k, a.LogProb[k], a.Sampled[k], b.LogProb[k], b.Sampled[k])
			}
		}
		if a.Verdict.Total != b.Verdict.Total || a.Verdict.Failed != b.Verdict.Failed {
			t.Fatalf("answer %d: %+v, want %+v", i, a.Verdict, b.Verdict)
		}
	}
	for i := range want.Groups {
		if got.Groups[i].Dropped != want.Groups[i].Dropped {
			t.Fatalf("group %d is %q, want %q", i, got.Groups[i].Dropped, want.Groups[i].Dropped)
		}
	}
	if got.Digest() != want.Digest() {
		t.Fatalf("the digests differ: %v, want %v", got.Digest(), want.Digest())
	}
}

// TestRoundIsAFunction: of how much is sampled at a time, of drafts, of the file and of
// a second reading, nothing changes; and log-probabilities are the trainer's.
func TestRoundIsAFunction(t *testing.T) {
	m, o := smallModel(t), options(t)
	want := whole(t, o, m, 3, 21)
	lengths := map[int]bool{}
	for i := range want.Answers {
		a := &want.Answers[i]
		lengths[len(a.Tokens)] = true
		if a.Question != o.Questions.At(a.Cursor) || a.Cursor != 21+int64(i/4) || a.Sample != i%4 {
			t.Fatalf("answer %d is number %d to question %d", i, a.Sample, a.Cursor)
		}
		tokens := append(slices.Clone(a.Question.Tokens), a.Tokens...)
		n := len(tokens) - 1
		p, err := m.LogProbs(&deepseek.Batch{Tokens: tokens[:n], Labels: tokens[1:], Segments: []deepseek.Segment{{Start: 0, End: n}}})
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range p[len(a.Question.Tokens)-1:] {
			if v != a.LogProb[k] || v != a.Sampled[k] {
				t.Fatalf("answer %d, token %d: log-probability %v, the trainer's %v", i, k, a.LogProb[k], v)
			}
		}
	}
	if len(lengths) < 5 {
		t.Errorf("answers have lengths %v: too few to prove anything", lengths)
	}
	for name, change := range map[string]func(o *Options){
		"one at a time": func(o *Options) { o.Config.Sequences = 1 },
		"all":           func(o *Options) { o.Config.Sequences = 64; o.Judging = 1 },
		"drafts":        func(o *Options) { o.Config.Speculate = true },
		"latents":       func(o *Options) { o.Config.Latent = true },
		"file":          func(o *Options) { o.Dir = t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			o := o
			change(&o)
			same(t, whole(t, o, m, 3, 21), want)
			if o.Dir == "" {
				return
			}
			s, err := NewSampler(o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			r, err := s.Read(3)
			if err != nil {
				t.Fatal(err)
			}
			same(t, r, want)
			if r, err = s.Sample(context.Background(), nil, digest.Digest{}, 3, 21); err != nil || !r.Sealed {
				t.Fatal(err)
			}
			same(t, r, want)
			if _, err := s.Sample(context.Background(), nil, digest.Digest{}, 4, 21); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("got %v", err)
			}
			if _, err := s.Read(4); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("got %v", err)
			}
		})
	}
	o.Seed++
	if other := whole(t, o, m, 3, 21); slices.Equal(other.Answers[0].Tokens, want.Answers[0].Tokens) && slices.Equal(other.Answers[1].Tokens, want.Answers[1].Tokens) {
		t.Error("the seed decides nothing")
	}
}

// TestInterruptedRoundIsTheSame: stopped after every number of tokens, again and again,
// a round comes out as one that was never stopped.
func TestInterruptedRoundIsTheSame(t *testing.T) {
	m, base := smallModel(t), options(t)
	base.Config.Stop = []string{"bb", "cad"}
	want := whole(t, base, m, 0, 0)
	total := 0
	for i := range want.Answers {
		total += len(want.Answers[i].Tokens)
	}
	rapid.Check(t, func(rt *rapid.T) {
		o := base
		o.Dir = t.TempDir()
		o.FS = durable.OS
		o.Config.Sequences = rapid.IntRange(1, 9).Draw(rt, "sequences")
		o.Config.Speculate, o.Config.Latent = rapid.Bool().Draw(rt, "speculate"), rapid.Bool().Draw(rt, "latent")
		stops := rapid.SliceOfN(rapid.IntRange(0, total), 1, 6).Draw(rt, "stops")
		slices.Sort(stops)
		for _, at := range stops {
			ctx, cancel := context.WithCancel(context.Background())
			o.Tell = func(p Progress) {
				if p.Tokens >= int64(at) {
					cancel()
				}
			}
			s, err := NewSampler(o)
			if err != nil {
				rt.Fatal(err)
			}
			r, err := s.Sample(ctx, m, policyOf, 0, 0)
			if cancel(); err == nil {
				same(rt, r, want)
			} else if !errors.Is(err, context.Canceled) {
				rt.Fatal(err)
			}
			if err := s.Close(); err != nil {
				rt.Fatal(err)
			}
		}
		o.Tell = nil
		same(rt, whole(t, o, m, 0, 0), want)
	})
}

// TestInterruptedAtEveryToken: the same with one interruption after each token of a
// round that samples one answer at a time, some of which end by stop texts of several
// tokens.
func TestInterruptedAtEveryToken(t *testing.T) {
	m, o := smallModel(t), options(t)
	o.Config.Prompts, o.Config.Group, o.Config.Sequences, o.Config.Stop = 3, 2, 1, []string{"bb", "cad", "fe"}
	want := whole(t, o, m, 0, 0)
	total := want.Sums().Tokens
	for at := range total {
		o := o
		o.Dir = t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		o.Tell = func(p Progress) {
			if p.Tokens >= at {
				cancel()
			}
		}
		s, err := NewSampler(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sample(ctx, m, policyOf, 0, 0); !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d of %d tokens: %v", at, total, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		o.Tell = nil
		same(t, whole(t, o, m, 0, 0), want)
	}
}

// TestStopTexts: an answer ends with the token that completes a stop text, wherever
// tokens part it.
func TestStopTexts(t *testing.T) {
	m, o := smallModel(t), options(t)
	free := whole(t, o, m, 0, 0)
	o.Config.Stop = []string{"bb", "cad", "h"}
	stopped := 0
	for i, a := range whole(t, o, m, 0, 0).Answers {
		text := ""
		for _, id := range free.Answers[i].Tokens {
			text += string(rune('a' + id - 3))
		}
		end := len(free.Answers[i].Tokens)
		reason := free.Answers[i].Reason
		for _, s := range o.Config.Stop {
			if at := strings.Index(text, s); at >= 0 && at+len(s) <= end {
				end, reason = at+len(s), generate.Stopped
			}
		}
		if !slices.Equal(a.Tokens, free.Answers[i].Tokens[:end]) || a.Reason != reason {
			t.Errorf("answer %d is %v (%v), want %d tokens of %q (%v)", i, a.Tokens, a.Reason, end, text, reason)
		}
		if reason == generate.Stopped {
			stopped++
		}
	}
	if stopped < 3 {
		t.Errorf("only %d answers had a stop text", stopped)
	}
}
