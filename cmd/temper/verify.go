package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/recipe/replay"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	replay, seed, key string
	heads, data       []string
	model             string
	way               replay.Way
	retrain, programs bool
	printHead, asJSON bool
	trace, out        string
	operator          int64
	against           string
}

func newVerifyCmd() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify RUN",
		Short: "judge a run by its record: its form, its arithmetic, and its steps taken again",
		Long: `Judges the record in a run directory and says pass, fail or incomplete.

Form: signatures, the tree of entries, every file that the record names, and the
attestations that were made of it.
Arithmetic: totals, learning rates, order of data, times and rates, recomputed.
Replay: steps drawn by a seed are taken again with the real trainer, from the
last checkpoint before them, and every digest is compared bit for bit. By
default that is one step in a hundred, computed with other instructions, other
threads and other micro-batches than the run's.

Needed are the run directory, the base model if the run began with one, and the
data: where the recipe says, or in --data and --model. Every file is held against
its digest before it is used. Nothing is written into RUN.

Stages that learn from the model's own answers are replayed with their rounds: they
are sampled again, token by token, where the replay has the weights that sampled
them, and otherwise read from the run's files, whose digests are on record. Rules
that run programs named in the recipe do so only with --run-programs: who made the
record chose them. Without it what they judged is taken from the files.

Who made a run can also make its record anew. --key says who must have signed,
--head is a head that was kept while the run lived (--print-head prints it).

Two machines that got different steps find out why: --trace STAGE:STEP writes the
digest of every operator of a step, --against FILE compares this machine's with
those of another, and names the first operator that differs, in a logarithm of
rounds. With --operator N the values are written, and compared one by one.

With --json: one object: verdict, run, checks (name, result, evidence, index),
signer, trusted, steps, replayed_steps, segments, first_divergence, not_checked,
replay (way, run, seed, search). Exit code 0: pass. 1: fail or incomplete. 2: wrong use.`,
		Example: `  temper verify runs/mine
  temper verify runs/mine --replay all --data ~/data --model ~/base --key "$(cat signer.pub)"
  temper verify runs/mine --print-head > head      # while it runs; later:
  temper verify runs/mine --head head`,
		Args: exactArgs(1, "a run directory"),
		RunE: func(cmd *cobra.Command, args []string) error { return runVerify(cmd, args[0], &f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.replay, "replay", "", "steps to take again: all, none, or a number (default one in a hundred)")
	fl.StringVar(&f.seed, "seed", "", "number that draws the steps (default a random one)")
	fl.StringVar(&f.key, "key", "", "verifier key that must have signed")
	fl.StringArrayVar(&f.heads, "head", nil, "file with a head that was kept elsewhere (repeatable)")
	fl.BoolVar(&f.printHead, "print-head", false, "print the last signed head, to be kept elsewhere, and do nothing else")
	fl.StringArrayVar(&f.data, "data", nil, "folder with the data files (repeatable)")
	fl.StringVar(&f.model, "model", "", "directory of the base model")
	fl.StringVar(&f.way.SIMD, "simd", "", "instructions to replay with (default other ones than the run's)")
	fl.IntVar(&f.way.Threads, "threads", 0, "threads to replay with (default another number than the run's)")
	fl.IntVar(&f.way.Micro, "micro", 0, "rows of a micro-batch in the replay (default another number than the run's)")
	fl.BoolVar(&f.retrain, "retrain-tokenizer", false, "also train the tokenizer again that the recipe trains, and compare")
	fl.BoolVar(&f.programs, "run-programs", false, "let rules of rewards run the programs that the run's recipe names, with all that they can do here")
	fl.StringVar(&f.trace, "trace", "", "only write what each operator of a step computes on this machine: STAGE:STEP")
	fl.Int64Var(&f.operator, "operator", -1, "with --trace: only the values of this operator of the trace")
	fl.StringVar(&f.out, "out", "", "file for --trace (default standard output)")
	fl.StringVar(&f.against, "against", "", "only compare a step with the file that --trace wrote on another machine")
	fl.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	return cmd
}

// verification is what verify --json prints.
type verification struct {
	*verify.Report
	Replay *replayUsed `json:"replay"`
}

// replayUsed says how steps were taken again.
type replayUsed struct {
	Way  replay.Way `json:"way"`
	Run  replay.Way `json:"run"`
	Seed uint64     `json:"seed"`
	// Search is what came of looking into a divergence, in words.
	Search string `json:"search,omitempty"`
}

func runVerify(cmd *cobra.Command, dir string, f *verifyFlags) error {
	plan, err := f.plan()
	if err != nil {
		return usageError{err}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return usageError{fmt.Errorf("%s is no run directory", dir)}
	}
	if _, err := f.way.Other(replay.Way{}, kernel.Paths(), kernel.Threads()); err != nil {
		return usageError{fmt.Errorf("--%w", err)}
	}
	if err := f.checkDispute(dir); err != nil {
		return usageError{err}
	}
	trust, found, err := f.trust(dir)
	if err != nil {
		return usageError{err}
	}
	if f.printHead {
		return printHead(cmd, dir, trust.Verifier)
	}
	if f.disputes() {
		l, checks := read(cmd, dir, trust)
		return f.dispute(cmd, l, checks)
	}
	v, err := f.judge(cmd, dir, trust, found, plan)
	if err != nil {
		return err
	}
	if f.asJSON {
		err = printJSON(cmd.OutOrStdout(), v)
	} else {
		err = v.Text(cmd.OutOrStdout())
	}
	if err == nil && v.Verdict != verify.Pass {
		err = errVerdict
	}
	return err
}

// read reads the record of a run.
func read(cmd *cobra.Command, dir string, trust runlog.Trust) (*verify.Log, []verify.Check) {
	w := &waiting{}
	w.doing("reading the record")
	defer w.waits(cmd.ErrOrStderr())()
	return verify.FormContext(cmd.Context(), dir, trust)
}

// judge verifies a run; found is what is known of it already.
func (f *verifyFlags) judge(cmd *cobra.Command, dir string, trust runlog.Trust, found []verify.Check, plan verify.Plan) (*verification, error) {
	l, checks := read(cmd, dir, trust)
	checks = append(append(found, checks...), l.Arithmetic()...)
	checks = append(checks, attested(cmd.Context(), dir, l, trust)...)
	if err := cmd.Context().Err(); err != nil {
		return nil, err
	}
	v := &verification{}
	replayed, err := f.takeAgain(cmd, l, plan, v)
	v.Report = verify.NewReport(l, checks, replayed)
	return v, err
}

// takeAgain replays what the plan draws. What keeps it from that is a finding,
// and only the end of the context an error.
func (f *verifyFlags) takeAgain(cmd *cobra.Command, l *verify.Log, plan verify.Plan, v *verification) (*verify.Replayed, error) {
	if plan.None || l.Manifest == nil {
		return verify.Replay(cmd.Context(), l, nil, plan)
	}
	p := newReplayProgress(cmd.ErrOrStderr())
	defer p.Close()
	r, err := replay.Open(l, replay.Options{Data: f.data, Model: f.model, Way: f.way, Programs: f.programs, Stepped: p.stepped, Sampling: p.sampling})
	if err != nil {
		return unable(err), nil
	}
	defer r.Close()
	v.Replay = &replayUsed{Seed: plan.Seed}
	v.Replay.Way, v.Replay.Run = r.Way()
	if err := p.begin(cmd.Context(), l, r, plan); err != nil {
		return unable(err), nil
	}
	replayed, err := verify.Replay(cmd.Context(), l, r, plan)
	if err == nil && replayed.Divergence != nil {
		p.search()
		v.Replay.Search = explain(cmd.Context(), r, replayed)
	}
	if err == nil && f.retrain {
		err = retrained(cmd.Context(), r, replayed)
	}
	if cmd.Context().Err() != nil {
		return nil, cmd.Context().Err()
	}
	if err != nil {
		return unable(err), nil
	}
	return replayed, nil
}

// explain looks into a divergence and adds what it finds. A machine that
// contradicts itself takes the verdict about the run back.
func explain(ctx context.Context, r *replay.Replayer, to *verify.Replayed) string {
	d := to.Divergence
	e, err := r.Explain(ctx, d)
	if err != nil {
		e = &replay.Explanation{NotSearched: "the search ended early: " + err.Error()}
	}
	c := verify.Check{Name: "search", Result: verify.Fail, Index: d.Index, Evidence: e.String()}
	switch {
	case e.Machine != nil:
		c.Result = verify.Incomplete
		for i := range to.Checks {
			if to.Checks[i].Name == "replay" {
				to.Checks[i].Result = verify.Incomplete
			}
		}
		d.Operator, d.Tensor, d.Element = e.Machine.Operator.String(), e.Machine.Operator.Name, e.Machine.Element
	case e.State != nil:
		d.Tensor, d.Element = e.State.Tensor, e.State.Element
	}
	to.Checks = append(to.Checks, c)
	return e.String()
}

// retrained trains the tokenizer again and adds what came out.
func retrained(ctx context.Context, r *replay.Replayer, to *verify.Replayed) error {
	c := verify.Check{Name: "tokenizer", Result: verify.Pass, Index: -1, Evidence: "trained again, it is the run's in every byte"}
	trains, err := r.Retrain(ctx)
	switch {
	case errors.Is(err, verify.ErrState):
		c.Result, c.Evidence, c.Index = verify.Fail, err.Error(), 0
	case err != nil:
		return err
	case !trains:
		c.Evidence = "the recipe takes a tokenizer that was there and trains none"
	}
	to.Checks = append(to.Checks, c)
	return nil
}

// unable makes a check of what keeps steps from being taken again.
func unable(err error) *verify.Replayed {
	c := verify.Check{Name: "replay", Result: verify.Incomplete, Index: -1, Evidence: err.Error()}
	if errors.Is(err, verify.ErrState) {
		c.Result = verify.Fail
	}
	return &verify.Replayed{Checks: []verify.Check{c}, Segments: []verify.Segment{}}
}

// plan reads --replay and --seed. Nobody can guess the seed that is made here.
func (f *verifyFlags) plan() (p verify.Plan, err error) {
	switch f.replay {
	case "all":
		p.All = true
	case "none":
		p.None = true
	case "":
	default:
		if p.Steps, err = strconv.ParseInt(f.replay, 10, 64); err != nil || p.Steps < 1 {
			return p, fmt.Errorf("--replay: %q, want all, none, or a number of steps from 1", f.replay)
		}
	}
	if f.seed != "" {
		if p.Seed, err = strconv.ParseUint(f.seed, 10, 64); err != nil {
			return p, fmt.Errorf("--seed: %q, want a whole number from 0 to 18446744073709551615", f.seed)
		}
		return p, nil
	}
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return p, err
	}
	p.Seed = binary.LittleEndian.Uint64(b[:])
	return p, nil
}

// trust reads --key and --head. A head is of the given key, or else of the one
// that the record names; one of another key is a finding about the record.
func (f *verifyFlags) trust(dir string) (t runlog.Trust, found []verify.Check, err error) {
	if f.key != "" {
		if t.Verifier, err = verifierKey(f.key); err != nil {
			return t, nil, err
		}
	}
	key := t.Verifier
	for _, name := range f.heads {
		text, err := os.ReadFile(name)
		if err != nil {
			return t, nil, err
		}
		if key == "" {
			r, err := runlog.OpenReader(filepath.Join(dir, execution.RecordName), runlog.Trust{})
			if err != nil {
				return t, nil, fmt.Errorf("--head needs --key where the record does not tell its own: %w", err)
			}
			key = r.Manifest.Signer
			r.Close()
		}
		h, err := runlog.ParseHead(text, key)
		switch {
		case err == nil:
			t.Heads = append(t.Heads, h)
		case t.Verifier != "":
			return t, nil, fmt.Errorf("--head %s: %w", name, err)
		default:
			found = append(found, verify.Check{
				Name: "kept heads", Result: verify.Fail, Index: 0,
				Evidence: fmt.Sprintf("%s: %v, which signed this record: it is not the record that the head was kept of, or no head", name, err),
			})
		}
	}
	return t, found, nil
}

// verifierKey reads a verifier key, or a file that holds one.
func verifierKey(text string) (string, error) {
	if b, err := os.ReadFile(text); err == nil {
		text = string(b)
	}
	text = strings.TrimSpace(text)
	if _, err := note.NewVerifier(text); err != nil {
		return "", fmt.Errorf("--key: %.80q: %w: want a verifier key, name+hash+base64, or a file that holds one", text, err)
	}
	return text, nil
}

// printHead prints the last head that covers what is in the record.
func printHead(cmd *cobra.Command, dir, key string) error {
	r, err := runlog.OpenReader(filepath.Join(dir, execution.RecordName), runlog.Trust{Verifier: key})
	if err != nil {
		return err
	}
	defer r.Close()
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	_, err = cmd.OutOrStdout().Write(r.Signed().Note)
	return err
}
