package main

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/guptarohit/asciigraph"

	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/recipe/execution"
)

// summaryText prints a finished run for a person.
func summaryText(w io.Writer, s *execution.Summary) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s %7s %9s %9s %9s  %s\n", "stage", "steps", "tokens", "loss", "-> loss", "measured (before -> after)")
	for _, st := range s.Stages {
		fmt.Fprintf(&b, "%-12s %7d %9s %9.4f %9.4f  %s\n", st.Name, st.Steps, unit.Count(st.Tokens), st.LossFirst, st.LossLast, metrics(st.Metrics))
	}
	for _, st := range s.Stages {
		if x := st.Rollouts; x != nil {
			fmt.Fprintf(&b, "%-12s %d rounds, %s answers to %s questions with %s tokens, %s waited for them", "", x.Rounds,
				unit.Count(x.Generations), unit.Count(x.Prompts), unit.Count(x.Tokens), unit.Duration(time.Duration(x.Seconds*float64(time.Second))))
			if x.Judged {
				fmt.Fprintf(&b, "; reward %.3f -> %.3f", x.RewardFirst, x.RewardLast)
			}
			b.WriteByte('\n')
		}
	}
	for _, st := range s.Stages {
		curve(&b, &st)
	}
	fmt.Fprintf(&b, "\n%d steps, %s tokens in %s: %s tokens/s in steps, %.1f %% of the machine's multiply-add peak (MFU)\n",
		s.Steps, unit.Count(s.Tokens), unit.Duration(time.Duration(s.WallSeconds*float64(time.Second))), unit.Count(s.TokensPerSecond), 100*s.MFU)
	fmt.Fprintf(&b, "model   %s\nrecord  %s\nsigner  %s\nweights %s\n",
		filepath.Join(s.Run, "model"), filepath.Join(s.Run, execution.RecordName), s.Signer, s.WeightsDigest)
	_, err := io.WriteString(w, b.String())
	return err
}

// curve plots the loss of a stage; of one that learns from rewards, those: its loss
// says nothing of how good the answers are.
func curve(b *strings.Builder, st *execution.StageSummary) {
	values, what := st.Losses, fmt.Sprintf("loss of %s, %d steps", st.Name, st.Steps)
	if x := st.Rollouts; x != nil && x.RewardFirst != x.RewardLast {
		values, what = x.Rewards, fmt.Sprintf("reward of %s, %d rounds", st.Name, x.Rounds)
	}
	if len(values) > 2 {
		fmt.Fprintf(b, "\n%s\n", asciigraph.Plot(values, asciigraph.Height(6), asciigraph.Width(64), asciigraph.Precision(2), asciigraph.Caption(what)))
	}
}

// metrics prints a stage's metrics, each with its value before the stage.
func metrics(m map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		suite, metric, _ := strings.Cut(name, "/")
		_, counted := m[suite]
		_, sides := m[suite+"/"+unsafeRefused]
		if strings.HasSuffix(name, "_before") || name == heldOut+"failed" && m[name] == 0 || counted && !isHeadline(metric, sides) {
			continue
		}
		format, _ := metricFormat(name)
		if name == "held_out_loss" {
			format = func(v float64) string { return fmt.Sprintf("%.4f", v) }
		}
		text := strings.ReplaceAll(name, "_", " ") + " "
		if before, ok := m[name+"_before"]; ok {
			text += format(before) + " -> "
		}
		parts = append(parts, text+format(m[name]))
	}
	return strings.Join(parts, ", ")
}

// The shares of what should be refused and of what should not.
const (
	unsafeRefused = "unsafe_refused"
	safeRefused   = "safe_refused"
)

// isHeadline tells which numbers of a suite that counts answers are for a line: what it
// counts, or both sides of it where refusing is right on one of them only.
func isHeadline(metric string, sides bool) bool {
	if sides {
		return metric == unsafeRefused || metric == safeRefused
	}
	return metric == ""
}
