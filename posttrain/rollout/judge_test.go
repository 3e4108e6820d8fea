package rollout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout/journal"
	"github.com/temper-ml/temper/report/record/digest"
)

// script is a program that judges.
func script(t testing.TB, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "judge.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nread -r line\n"+body+"\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCommandsThatFail: answers on which a program hangs, crashes, prints garbage or
// NaN are named, and take part in nothing; the others do.
func TestCommandsThatFail(t *testing.T) {
	m, o := smallModel(t), options(t)
	judge := script(t, `case "$line" in
*'"completion":"'[ab]*) sleep 60 ;;
*'"completion":"'[cd]*) echo no >&2; exit 3 ;;
*'"completion":"'[ef]*) echo garbage ;;
*'"completion":"'[gh]*) echo nan ;;
*) echo '{"reward": 0.5, "reason": "fine"}' ;;
esac`)
	o.Rewards = []reward.Spec{{Command: &reward.Command{Args: []string{judge}, Seconds: 5}}, o.Rewards[1]}
	o.Judging = 8
	var told []string
	o.Warn = func(s string) { told = append(told, s) }
	r := whole(t, o, m, 0, 0)
	failed := 0
	for i := range r.Groups {
		g := &r.Groups[i]
		good := 0
		for k := range g.Answers {
			a := &g.Answers[k]
			text := o.Questions.builder.Answer(a.Tokens, false)
			want := ""
			if text != "" {
				want = [...]string{"no answer in 5s", "exit status 3: no", `it printed "garbage"`, "a reward of NaN", ""}[min(4, (text[0]-'a')/2)]
			}
			part := a.Verdict.Parts[0]
			if (want != "") != a.Verdict.Failed || !strings.Contains(part.Error, want) {
				t.Errorf("%q: %+v, want %q", text, a.Verdict, want)
			}
			if want == "" {
				good++
				if part.Reason != "fine" || part.Value != 0.5 {
					t.Errorf("%q: %+v", text, a.Verdict)
				}
				continue
			}
			failed++
			name := fmt.Sprintf("answer %d to %s was not judged", a.Sample, a.Question.Source)
			if !slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, name) && strings.Contains(s, want) }) {
				t.Errorf("nobody was told %q", name)
			}
		}
		if want := good < 2; want != (g.Dropped == Unjudged) {
			t.Errorf("group %d of %d judged answers is %q", i, good, g.Dropped)
		}
		if answers, rewards := g.Judged(); len(answers) != good || len(rewards) != good {
			t.Errorf("group %d: %d judged, want %d", i, len(answers), good)
		}
	}
	if s := r.Sums(); s.Failed != int64(failed) || failed < 3 || failed == len(r.Answers) || s.Rules[0].Count != s.Answers-s.Failed || s.Rules[0].Value != 0.5 {
		t.Errorf("%d failed, %+v", failed, s)
	}
}

// TestJudgingIsInterrupted: what was being judged when the process was told to stop is
// judged again, not failed; no program is left behind, nobody waits for one.
func TestJudgingIsInterrupted(t *testing.T) {
	m, o := smallModel(t), options(t)
	marks := t.TempDir()
	judge := script(t, `[ -e `+marks+`/go ] || { touch `+marks+`/began; sleep 600; }; echo 1`)
	o.Rewards = []reward.Spec{{Command: &reward.Command{Args: []string{judge}, Seconds: 700}}}
	o.Dir = t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sampled := make(chan struct{})
	all := sync.OnceFunc(func() { close(sampled) })
	o.Tell = func(p Progress) {
		if p.Answers == p.Total {
			all()
		}
	}
	go func() { // once a program runs, and there is nothing else to do
		<-sampled
		for ctx.Err() == nil {
			if _, err := os.Stat(marks + "/began"); err == nil {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	s, err := NewSampler(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sample(ctx, m, policyOf, 0, 0); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := s.Read(0); !errors.Is(err, ErrUnsealed) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(marks+"/go", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := s.Sample(context.Background(), m, policyOf, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if sums := r.Sums(); sums.Failed != 0 || sums.Reward != 1 || sums.Deviation != 0 {
		t.Errorf("%+v", sums)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestArraysAreKept: log-probabilities that later weights could not give again come back
// after a crash, and a round is not sealed without them.
func TestArraysAreKept(t *testing.T) {
	m, o := smallModel(t), options(t)
	o.Dir, o.Old, o.Reference = t.TempDir(), true, true
	fill := func(a *Answer) {
		for k := range a.Tokens {
			a.Old, a.Reference = append(a.Old, a.LogProb[k]-1), append(a.Reference, float32(k))
		}
	}
	s, err := NewSampler(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Sample(context.Background(), m, policyOf, 0, 0)
	if err != nil || r.Sealed {
		t.Fatal(err)
	}
	bare := r.Digest()
	if err := s.Seal(r); err == nil || !strings.Contains(err.Error(), "has not all log-probabilities") {
		t.Errorf("got %v", err)
	}
	for i := range 7 {
		fill(&r.Answers[i])
		if err := s.Amend(r, i); err != nil {
			t.Fatal(err)
		}
	}
	fill(&r.Answers[8]) // and nobody keeps it
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	if s, err = NewSampler(o); err != nil {
		t.Fatal(err)
	}
	if r, err = s.Sample(context.Background(), nil, digest.Digest{}, 0, 0); err != nil || r.Sealed || r.Policy != policyOf {
		t.Fatal(err)
	}
	for i := range r.Answers {
		a := &r.Answers[i]
		if (a.Old != nil) != (i < 7) || (a.Reference != nil) != (i < 7) {
			t.Fatalf("answer %d has %d and %d", i, len(a.Old), len(a.Reference))
		}
		if a.Old == nil {
			fill(a)
		}
	}
	r.Answers[9].Old = r.Answers[9].Old[1:]
	if err := s.Seal(r); err == nil || !strings.Contains(err.Error(), "answer 9") {
		t.Errorf("got %v", err)
	}
	r.Answers[9].Old, r.Answers[9].Reference = nil, nil
	fill(&r.Answers[9])
	r.Answers[9].Reference[0] = float32(math.NaN())
	if err := s.Seal(r); err == nil || !strings.Contains(err.Error(), "answer 9: log-probability 0 of") {
		t.Errorf("got %v", err)
	}
	r.Answers[9].Old, r.Answers[9].Reference = nil, nil
	fill(&r.Answers[9])
	if err := s.Seal(r); err != nil {
		t.Fatal(err)
	}
	got, err := s.Read(0)
	if err != nil {
		t.Fatal(err)
	}
	if same(t, got, r); got.Digest() == bare {
		t.Error("the digest is not of the arrays")
	}
	if got.Answers[3].Old[0] != got.Answers[3].LogProb[0]-1 {
		t.Errorf("got %v", got.Answers[3].Old)
	}
	if err := s.Amend(got); err == nil {
		t.Error("a sealed round is amended")
	}
	for _, gone := range []bool{false, true} {
		if err := s.Prune(1); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(0); errors.Is(err, os.ErrNotExist) != gone {
			t.Errorf("got %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = NewSampler(o); err != nil { // one that samples nothing
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRoutesAreKept: of whole sequences, though they were sampled in pieces; a pass that
// is made to take them gives the log-probabilities again.
func TestRoutesAreKept(t *testing.T) {
	for name, cfg := range map[string]*arch.Config{"v4": deepseektest.SmallV4(), "v3": deepseektest.SmallV3()} {
		for _, experts := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, experts only %v", name, experts), func(t *testing.T) { checkRoutes(t, modelOf(t, cfg), experts) })
		}
	}
}

func checkRoutes(t *testing.T, m *deepseek.Model, experts bool) {
	t.Helper()
	o := options(t)
	o.Config.Prompts, o.Routes, o.ExpertsOnly = 2, m.Config(), experts
	want := whole(t, o, m, 0, 0)
	o.Dir, o.Config.Latent = t.TempDir(), true // which changes no answer
	for at := int64(9); ; at += 23 {
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
		_, err = s.Sample(ctx, m, policyOf, 0, 0)
		cancel()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			break
		}
	}
	s, err := NewSampler(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Read(0)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, want)
	for i := range got.Answers {
		a := &got.Answers[i]
		tokens := append(slices.Clone(a.Question.Tokens), a.Tokens...)
		n := len(tokens) - 1
		if a.Routes.Len() != n {
			t.Fatalf("answer %d has routes of %d tokens, want %d", i, a.Routes.Len(), n)
		}
		p, err := m.LogProbs(&deepseek.Batch{Tokens: tokens[:n], Labels: tokens[1:], Segments: []deepseek.Segment{{Start: 0, End: n}}, Routes: []*deepseek.Routes{a.Routes}})
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range p[len(a.Question.Tokens)-1:] {
			if math.Float32bits(v) != math.Float32bits(a.LogProb[k]) {
				t.Fatalf("answer %d, token %d: %v on the routes, was %v", i, k, v, a.LogProb[k])
			}
		}
	}
}

// TestDamagedRound: a file whose content is whole and is not what its seal says is
// refused; so are questions and rules that have changed since.
func TestDamagedRound(t *testing.T) {
	m, o := smallModel(t), options(t)
	o.Dir = t.TempDir()
	whole(t, o, m, 0, 0)
	read := func(o Options) error {
		s, err := NewSampler(o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, err = s.Read(0)
		return err
	}
	for what, change := range map[string]func(o *Options){
		"questions":     func(o *Options) { o.Questions = asked(t, 14) },
		"configuration": func(o *Options) { o.Rewards = o.Rewards[:1] },
		"seed":          func(o *Options) { o.Seed++ },
	} {
		other := o
		change(&other)
		var mismatch *journal.MismatchError
		if err := read(other); !errors.As(err, &mismatch) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	same := o
	same.Config.Sequences, same.Config.Updates, same.Config.Keep, same.Config.Ahead = 1, 2, 3, 1 // decide no answer
	if err := read(same); err != nil {
		t.Error(err)
	}
	path := filepath.Join(o.Dir, "000000.rollout")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := read(o); !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), path+" is damaged at byte") {
		t.Errorf("got %v", err)
	}
}

// TestHeldOut: greedy answers, the same whatever runs together, judged by the rules.
func TestHeldOut(t *testing.T) {
	m, o := smallModel(t), options(t)
	s, err := NewSampler(o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Measure(context.Background(), m, o.Questions, 6)
	if err != nil {
		t.Fatal(err)
	}
	o.Config.Sequences = 1
	if s, err = NewSampler(o); err != nil {
		t.Fatal(err)
	}
	again, err := s.Measure(context.Background(), m, o.Questions, 6)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(again) || got.Questions != 6 || got.Answers != 6 || got.Tokens < 6 || len(got.Rules) != 2 || got.Rules[0].Name != "abc" || got.Failed != 0 {
		t.Errorf("%+v and %+v", got, again)
	}
}

// TestNothingJudged: without rules every group is learnt, of one answer too.
func TestNothingJudged(t *testing.T) {
	m, o := smallModel(t), options(t)
	o.Rewards, o.Config.Group = nil, 1
	o.Dir = t.TempDir()
	r := whole(t, o, m, 0, 0)
	if len(r.Groups) != 5 || r.Groups[4].Dropped != "" || !r.Sealed || len(r.Sums().Rules) != 0 {
		t.Errorf("%+v", r)
	}
	o.Dynamic = true
	if _, err := NewSampler(o); err == nil {
		t.Error("dynamic sampling without rewards")
	}
}

// TestSeveralWait: a round is sampled while the one before it waits for its arrays; and
// others may read what is there, but not write.
func TestSeveralWait(t *testing.T) {
	m, o := smallModel(t), options(t)
	o.Dir, o.Old, o.Config.Prompts = t.TempDir(), true, 2
	s, err := NewSampler(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var rounds []*Round
	for n := range int64(2) {
		r, err := s.Sample(context.Background(), m, policyOf, n, 2*n)
		if err != nil {
			t.Fatal(err)
		}
		rounds = append(rounds, r)
	}
	reader := o
	reader.ReadOnly = true
	others, err := NewSampler(reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prune(9); err != nil {
		t.Fatal(err)
	}
	for n, r := range rounds {
		if _, err := others.Read(int64(n)); !errors.Is(err, ErrUnsealed) {
			t.Errorf("got %v", err)
		}
		for i := range r.Answers {
			r.Answers[i].Old = r.Answers[i].LogProb
		}
		if err := s.Seal(r); err != nil {
			t.Fatal(err)
		}
		got, err := others.Read(int64(n))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, r)
	}
	if _, err := others.Sample(context.Background(), m, policyOf, 2, 4); err == nil || others.Prune(2) == nil {
		t.Error("a reader writes")
	}
	if err := others.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestItems: what a file says in words, at any time, without the questions' files.
func TestItems(t *testing.T) {
	m, o := smallModel(t), options(t)
	o.Dir = t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	o.Tell = func(p Progress) {
		if p.Tokens >= 60 {
			cancel()
		}
	}
	s, err := NewSampler(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sample(ctx, m, policyOf, 7, 3); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := Files(o.Dir)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	decode := o.Questions.tok.Decode
	half, err := Items(files[0], decode)
	if err != nil {
		t.Fatal(err)
	}
	o.Tell = nil
	r := whole(t, o, m, 7, 3)
	items, err := Items(files[0], decode)
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != 5 || len(half) != 5 || fmt.Sprint(half) == fmt.Sprint(items) {
		t.Fatalf("%d and %d questions", len(half), len(items))
	}
	for i, it := range items {
		g := &r.Groups[i]
		if it.Round != 7 || it.Cursor != g.Cursor || it.Place != g.Question.Source.String() || it.Asked != decode(g.Question.Tokens) || len(it.Answers) != 4 {
			t.Errorf("got %+v", it)
		}
		for k, a := range it.Answers {
			b := &g.Answers[k]
			if a.Sample != k || a.Text != decode(b.Tokens) || a.Tokens != len(b.Tokens) || a.Ended != b.Reason.String() || a.Verdict.Total != b.Verdict.Total || a.LogProb >= 0 {
				t.Errorf("got %+v, want %+v", a, b)
			}
		}
	}
}
