package dashboard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/temper-ml/temper/report/record"
)

// maxText is how much of a text of an event is kept.
const maxText = 1000

// describe says in words what an entry says.
func describe(b record.Body) string {
	text := ""
	switch b := b.(type) {
	case *record.Begin:
		text = fmt.Sprintf("%s parameters, %s active", count(b.Total), count(b.Active))
	case *record.Stage:
		text = describeStage(b)
	case *record.Checkpoint:
		text = fmt.Sprintf("%s, %s in %s", b.Path, bytesText(b.Bytes), lasting(time.Duration(b.Took)))
	case *record.Fault:
		text = fmt.Sprintf("%s on rank %d: %s", b.Fault, b.Rank, b.Evidence)
	case *record.Recovery:
		text = fmt.Sprintf("from step %s of the stage, %s steps are taken again: %s", count(b.Step), count(b.Again), b.Cause)
	case *record.Ranks:
		text = fmt.Sprintf("%d ranks from here, %d joined, %d left: %s", b.Ranks, len(b.Joined), len(b.Left), b.Reason)
	case *record.Evaluation:
		text = describeEvaluation(b)
	case *record.Rollout:
		text = fmt.Sprintf("%s generations of %s prompts, %s tokens, mean reward %s", count(b.Generations), count(b.Prompts), count(b.Tokens), short(b.Reward))
	case *record.Pause:
		text = b.Reason
	case *record.Resume:
		text = "on " + b.Host.Name
	case *record.Note:
		text = b.Text
	case *record.End:
		text = strings.TrimSpace(fmt.Sprintf("%s after %s steps %s", b.Status, count(b.Steps), b.Reason))
	}
	return cutText(text, maxText)
}

func describeStage(b *record.Stage) string {
	what := "begins"
	if b.From > 0 {
		what = "goes on at step " + count(b.From)
	}
	name := b.Name
	if b.Method != "" && b.Method != b.Name {
		name += " (" + b.Method + ")"
	}
	return fmt.Sprintf("%s %s, %s steps", name, what, count(b.Steps))
}

func describeEvaluation(b *record.Evaluation) string {
	var parts []string
	if b.HeldOut != nil {
		parts = append(parts, "held-out loss "+short(b.HeldOut.Loss))
	}
	for _, name := range slices.Sorted(maps.Keys(b.Suites)) {
		s := b.Suites[name]
		parts = append(parts, fmt.Sprintf("%s %d of %d", name, s.Right, s.Total))
	}
	for _, name := range slices.Sorted(maps.Keys(b.Metrics)) {
		parts = append(parts, name+" "+short(b.Metrics[name].Value))
	}
	return strings.Join(parts, ", ")
}
