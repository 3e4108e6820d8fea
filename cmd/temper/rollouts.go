package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/posttrain/rollout"
)

// rolloutsFlags say what of a run's rounds is shown.
type rolloutsFlags struct {
	stage  string
	round  int64
	limit  int
	asJSON bool
}

func newRolloutsCmd() *cobra.Command {
	f := rolloutsFlags{}
	cmd := &cobra.Command{
		Use:   "rollouts RUN",
		Short: "show what a run's model was asked, what it answered, and what the rules said of it",
		Long: `Shows the questions and answers of a round of a stage that learns from the model's
own answers, with the rewards and the reasons of each rule: of the newest round if
--round gives no other, complete or not. RUN is the run directory.

With --json: one object a line, a question each: "round", "cursor", "place", "asked",
"answers": [{"sample", "text", "tokens", "ended", "logprob", "verdict"}].`,
		Args: exactArgs(1, "a run directory"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.stage, "stage", "", "the stage's name (default the last one with rounds)")
	fl.Int64Var(&f.round, "round", -1, "the round's number, from 0 (default the newest)")
	fl.IntVar(&f.limit, "limit", 4, "questions to show, 0 for all of the round")
	fl.BoolVar(&f.asJSON, "json", false, "print a line for each question")
	return cmd
}

func (f *rolloutsFlags) run(cmd *cobra.Command, run string) error {
	file, err := f.file(run)
	if err != nil {
		return usageError{err}
	}
	tok, err := loadTokenizer(run)
	if err != nil {
		return usageError{err}
	}
	items, err := rollout.Items(file, tok.Decode)
	if err != nil {
		return err
	}
	all := len(items)
	if f.limit > 0 {
		items = items[:min(all, f.limit)]
	}
	w := cmd.OutOrStdout()
	if f.asJSON {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		for i := range items {
			if err := e.Encode(&items[i]); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range items {
		if err := printItem(w, &items[i]); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "%d of the %d questions of %s\n", len(items), all, file)
	return err
}

// file is that of the round.
func (f *rolloutsFlags) file(run string) (string, error) {
	stages, err := filepath.Glob(filepath.Join(run, "rollouts", "[0-9][0-9]-*")) // sorted
	if err != nil {
		return "", err
	}
	var names []string
	dir := ""
	for _, s := range stages {
		name := filepath.Base(s)[3:]
		if names = append(names, name); f.stage == "" || f.stage == name {
			dir = s
		}
	}
	switch {
	case len(stages) == 0:
		return "", fmt.Errorf("%s has no rounds: it is no run directory, or no stage has answered yet", run)
	case dir == "":
		return "", fmt.Errorf("--stage is %q, rounds are there of %s", f.stage, strings.Join(names, ", "))
	}
	files, err := rollout.Files(dir)
	switch {
	case err != nil:
		return "", err
	case len(files) == 0:
		return "", fmt.Errorf("%s has no rounds", dir)
	case f.round < 0:
		return files[len(files)-1], nil
	}
	file := filepath.Join(dir, fmt.Sprintf("%06d.rollout", f.round))
	if _, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("--round is %d, rounds are there from %s to %s", f.round, filepath.Base(files[0]), filepath.Base(files[len(files)-1]))
	}
	return file, nil
}

// printItem prints a question and its answers.
func printItem(w io.Writer, it *rollout.Item) error {
	var b strings.Builder
	fmt.Fprintf(&b, "round %d, %s\n%s\n", it.Round, it.Place, indent(it.Asked, "    "))
	for i := range it.Answers {
		a := &it.Answers[i]
		fmt.Fprintf(&b, "  answer %d  %s\n%s\n", a.Sample, said(a), indent(a.Text, "      "))
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}

// said is what there is to say of an answer in one line.
func said(a *rollout.ItemAnswer) string {
	parts := []string{fmt.Sprintf("%d tokens, %s", a.Tokens, a.Ended)}
	if v := a.Verdict; v != nil {
		total := fmt.Sprintf("reward %.4g", v.Total)
		if v.Failed {
			total = "not judged"
		}
		parts = append([]string{total}, parts...)
		for _, p := range v.Parts {
			text := fmt.Sprintf("%s %.4g", p.Name, p.Value)
			if p.Error != "" {
				text = p.Name + ": " + p.Error
			} else if p.Reason != "" {
				text += " (" + p.Reason + ")"
			}
			parts = append(parts, printable(text))
		}
	}
	return strings.Join(parts, " · ")
}

// indent puts a margin before each line of a text that anybody may have written.
func indent(text, margin string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = margin + printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// printable spells out what a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) {
			return '�'
		}
		return r
	}, text)
}
