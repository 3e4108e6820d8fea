package policy_test

import (
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/posttrain/grpo"
	"github.com/temper-ml/temper/posttrain/policy"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
)

// TestLearns: rewards rise, and every ratio of every step is exactly 1.
func TestLearns(t *testing.T) {
	for _, variant := range grpo.Variants() {
		if testing.Short() && variant != policy.DefaultVariant {
			continue
		}
		t.Run(variant, func(t *testing.T) {
			s := newSetup(t, variant, 40, nil)
			b := newBank(s.rollout)
			b.dynamic = s.loss.Dynamic
			s.loss.MaskTruncated = false // answers of this task seldom end
			j := s.begin(t, newModel(t, s.arch), b)
			var first, last float64
			for i, r := range j.run(t) {
				if r.Terms[policy.RatioTerm] != 1 || r.Terms[policy.LargestTerm] != 0 || r.Terms[policy.ClippedTerm] != 0 {
					t.Fatalf("step %d is on-policy and has %v", i, r.Terms)
				}
				switch {
				case i < 5:
					first += r.Terms[policy.RewardTerm] / 5
				case i >= 35:
					last += r.Terms[policy.RewardTerm] / 5
				}
			}
			t.Logf("reward %.3f -> %.3f", first, last)
			if last < first+0.3 {
				t.Errorf("mean reward went from %.3f to %.3f", first, last)
			}
		})
	}
}

// TestSplit: micro-batches, threads, recomputation, and how many answers are sampled at
// a time change no bit.
func TestSplit(t *testing.T) {
	defer kernel.SetThreads(kernel.Threads())
	var want []train.Result
	var final digest.Digest
	for i, c := range []struct {
		micro, threads, sequences int
		recompute                 string
	}{{1, 1, 1, "none"}, {3, 2, 5, "full"}, {8, 3, 64, "selective"}} {
		kernel.SetThreads(c.threads)
		s := newSetup(t, "gspo", 6, func(s *setup) {
			s.train.MicroRows, s.train.Recompute, s.rollout.Updates = c.micro, c.recompute, 2
		})
		s.loss.KL = grpo.KL{Weight: 0.1, Estimator: "k3", Unbiased: true}
		b := newBank(s.rollout)
		b.sequence = c.sequences
		j := s.begin(t, newModel(t, s.arch), b)
		got := j.run(t)
		d := weights(t, j.model)
		if i == 0 {
			want, final = got, d
			continue
		}
		for k := range got {
			if !maps.Equal(got[k].Terms, want[k].Terms) || got[k].GradNorm != want[k].GradNorm {
				t.Errorf("%+v, step %d: %v and norm %v, want %v and %v", c, k, got[k].Terms, got[k].GradNorm, want[k].Terms, want[k].GradNorm)
			}
		}
		if d != final {
			t.Errorf("%+v: other weights", c)
		}
	}
}

// TestReuse: answers that are learnt again have moved; where they have moved far, their
// gradient is cut off.
func TestReuse(t *testing.T) {
	s := newSetup(t, "grpo", 8, func(s *setup) { s.rollout.Updates, s.rollout.Epochs = 2, 2 })
	s.loss.OnPolicy = true // of the first step of each round
	clipped := 0.0
	for i, r := range s.begin(t, newModel(t, s.arch), newBank(s.rollout)).run(t) {
		first := i%4 == 0
		if ratio := r.Terms[policy.RatioTerm]; (ratio == 1) != first {
			t.Errorf("step %d: the mean ratio is %v", i, ratio)
		}
		if r.Terms[policy.LargestTerm] != 0 {
			t.Errorf("step %d: answers of the round's first weights mismatch by %v", i, r.Terms[policy.LargestTerm])
		}
		clipped += r.Terms[policy.ClippedTerm]
	}
	if clipped == 0 {
		t.Error("nothing was clipped")
	}
}

// disturbed is a bank whose answers seem to be of somewhat other weights.
type disturbed struct{ *bank }

func (d disturbed) Seal(r *rollout.Round) error {
	for i := range r.Answers {
		a := &r.Answers[i]
		s := detrand.Key(11, "disturbed", uint64(a.Cursor), uint64(a.Sample))
		for k := range a.LogProb {
			a.LogProb[k] += float32(0.3 * s.NormalAt(uint64(2*k)))
			a.Sampled[k] += float32(0.3 * s.NormalAt(uint64(2*k+1)))
		}
	}
	return d.bank.Seal(r)
}

// TestGradient compares the gradient of a whole step with differences of its loss,
// through the model.
func TestGradient(t *testing.T) {
	for _, variant := range []string{"dapo", "gspo"} {
		if testing.Short() && variant == "gspo" {
			continue
		}
		s := newSetup(t, variant, 1, nil)
		s.loss.OnPolicy, s.loss.MaskTruncated = false, false
		s.loss.ClipLow, s.loss.ClipHigh = 0.9, 9 // differences across an edge would say nothing
		s.loss.KL = grpo.KL{Weight: 0.2, Estimator: "k3"}
		s.loss.Correction = grpo.Correction{Kind: "token", High: 2}
		b := disturbed{newBank(s.rollout)}
		m := newModel(t, s.arch)
		for name, values := range deepseektest.RandomParams(s.arch, 4) {
			for i, v := range values {
				m.Param(name).Data[i] = float32(v)
			}
		}
		j := s.begin(t, m, b)
		before := map[string][]float32{}
		for _, p := range m.Params() {
			before[p.Name] = append([]float32(nil), p.Data...)
		}
		r, err := j.step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Terms[policy.RatioTerm] == 1 || r.Terms[policy.WeightTerm] == 1 || r.Terms[policy.KLTerm] == 0 {
			t.Errorf("%s: %v tries too little", variant, r.Terms)
		}
		for _, p := range m.Params() {
			copy(p.Data, before[p.Name])
		}
		for _, p := range m.Params() {
			norm := 0.0
			for _, g := range p.Grad {
				norm += float64(g) * float64(g)
			}
			if norm = math.Sqrt(norm); norm < 2e-3 {
				continue
			}
			const h = 2e-3 // along the gradient
			loss := func(sign float64) float64 {
				for i, v := range before[p.Name] {
					p.Data[i] = float32(float64(v) + sign*h*float64(p.Grad[i])/norm)
				}
				defer copy(p.Data, before[p.Name])
				return stepLoss(t, j.stage, m)
			}
			if got := (loss(1) - loss(-1)) / (2 * h); math.Abs(got-norm) > 0.02*norm+2e-4 {
				t.Errorf("%s, %s: the loss changes by %v, the gradient has norm %v", variant, p.Name, got, norm)
			}
		}
	}
}

// stepLoss is the loss of step 0 by the present weights.
func stepLoss(t testing.TB, s *policy.Stage, m *deepseek.Model) float64 {
	t.Helper()
	rows, err := s.Rows(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(0, rows); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, r := range rows {
		logp, err := m.LogProbs(&deepseek.Batch{Tokens: r.Tokens, Labels: r.Labels, MTPLabels: r.MTPLabels, Segments: r.Segments})
		if err != nil {
			t.Fatal(err)
		}
		terms := make([]float64, len(s.Terms()))
		if err := s.Loss(i, logp, make([]float32, len(logp)), terms); err != nil {
			t.Fatal(err)
		}
		sum += terms[0]
	}
	return sum
}

// TestAlarm: on-policy, one bit of one token stops the stage, and the error says which.
func TestAlarm(t *testing.T) {
	s := newSetup(t, "grpo", 3, nil)
	b := newBank(s.rollout)
	j := s.begin(t, newModel(t, s.arch), b)
	if _, err := j.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, _, err := j.stage.Prepare(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	a := &r.Answers[9]
	a.LogProb[2] = math.Nextafter32(a.LogProb[2], 0)
	before := weights(t, j.model)
	_, err = j.step(t.Context())
	if err == nil {
		t.Fatal("it went on")
	}
	for _, want := range []string{"row ", "answer 1 to question 5 of round 1", "token 2: log-probability", "before the update", "equal in every bit"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: it does not say %q", err, want)
		}
	}
	if weights(t, j.model) != before {
		t.Error("the step that was refused changed weights")
	}
}

// TestNothingToLearn: answers without a verdict take no part, nor groups that are left
// with one; a round without any gives no gradient, and that is said.
func TestNothingToLearn(t *testing.T) {
	s := newSetup(t, "grpo", 4, func(s *setup) { s.rollout.Updates = 2 })
	b := newBank(s.rollout)
	b.fail = func(a *rollout.Answer) bool {
		switch {
		case a.Cursor < 4: // round 0: one question keeps two answers, the others at most one
			return a.Sample >= 1 && !(a.Cursor == 2 && a.Sample == 5)
		}
		return true
	}
	results := s.begin(t, newModel(t, s.arch), b).run(t)
	if got, want := results[1].Terms[policy.LearntTerm], 2.0/32; got != want {
		t.Errorf("%v of the answers take part, want %v", got, want)
	}
	if rows := results[1].Counts.Segments; rows != 2 || results[1].GradNorm == 0 {
		t.Errorf("the step that has the group learns %d answers, gradient %v", rows, results[1].GradNorm)
	}
	for _, i := range []int{0, 2, 3} {
		r := results[i]
		if r.GradNorm != 0 || r.Terms[policy.LossTerm] != 0 || r.Terms[policy.RatioTerm] != 1 {
			t.Errorf("step %d has nothing to learn: norm %v, %v", i, r.GradNorm, r.Terms)
		}
	}
	if len(s.notes) != 2 || !strings.Contains(s.notes[0], "round 0 has 1 of 4 groups") || !strings.Contains(s.notes[1], "round 1 teaches nothing") {
		t.Errorf("notes: %q", s.notes)
	}
}

// TestRowsOfOtherRounds: rows are those of the round that is prepared; asked for again,
// they are the same.
func TestRowsOfOtherRounds(t *testing.T) {
	s := newSetup(t, "grpo", 8, func(s *setup) { s.rollout.Updates, s.rollout.Epochs = 2, 2 })
	j := s.begin(t, newModel(t, s.arch), newBank(s.rollout))
	if _, err := j.stage.Rows(0); err == nil || !strings.Contains(err.Error(), "the round of step 0 is not prepared") {
		t.Errorf("before the first round: %v", err)
	}
	if _, fresh, err := j.stage.Prepare(t.Context(), 0); err != nil || !fresh {
		t.Fatalf("fresh %v, %v", fresh, err)
	}
	if _, fresh, err := j.stage.Prepare(t.Context(), 3); err != nil || fresh {
		t.Errorf("another step of the round: fresh %v, %v", fresh, err)
	}
	var seen []digest.Digest
	for step := range int64(4) {
		rows, err := j.stage.Rows(step)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, train.BatchDigest(rows))
	}
	if seen[0] != seen[2] || seen[1] != seen[3] || seen[0] == seen[1] {
		t.Errorf("steps of two epochs of two updates learn %v", seen)
	}
	for _, step := range []int64{-1, 4, 8} {
		if _, err := j.stage.Rows(step); err == nil {
			t.Errorf("step %d has rows", step)
		}
	}
	if _, _, err := j.stage.Prepare(t.Context(), 8); err == nil || !strings.Contains(err.Error(), "step 8 is not of the stage's 8") {
		t.Errorf("a step after the last: %v", err)
	}
}

// TestTruncated: answers that did not end are compared with, and not learnt.
func TestTruncated(t *testing.T) {
	s := newSetup(t, "dapo", 1, nil)
	s.loss.Dynamic = false
	b := newBank(s.rollout)
	j := s.begin(t, newModel(t, s.arch), b)
	r, err := j.step(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := 0
	for i := range b.rounds[0].Answers {
		if !b.rounds[0].Answers[i].Truncated() {
			ended++
		}
	}
	if ended == 0 || ended == 32 || r.Counts.Segments != int64(ended) || r.Terms[policy.LearntTerm] != float64(ended)/32 {
		t.Errorf("%d of 32 answers ended, %d are learnt: %v", ended, r.Counts.Segments, r.Terms)
	}
}
