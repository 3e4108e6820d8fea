package render

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	promHead   = regexp.MustCompile(`^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$`)
	promSample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\} (\S+)$`)
)

// parsePrometheus reads the text format strictly: help, then type, then samples,
// each family in one piece, no series twice, counters that say so and do not
// fall below zero, a newline at the end.
func parsePrometheus(text string) (map[string]float64, error) {
	if !strings.HasSuffix(text, "\n") {
		return nil, fmt.Errorf("no newline at the end")
	}
	out := map[string]float64{}
	done := map[string]bool{}
	var family, kind, state string
	for i, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if m := promHead.FindStringSubmatch(l); m != nil {
			switch {
			case m[1] == "HELP" && !done[m[2]]:
				family, state = m[2], "HELP"
				done[family] = true
			case m[1] == "TYPE" && m[2] == family && state == "HELP":
				kind, state = m[3], "TYPE"
			default:
				return nil, fmt.Errorf("line %d: %s out of place", i, l)
			}
			continue
		}
		m := promSample.FindStringSubmatch(l)
		if m == nil || m[1] != family || state != "TYPE" {
			return nil, fmt.Errorf("line %d: %q is no sample of %s", i, l, family)
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i, err)
		}
		if kind != "gauge" && kind != "counter" || (kind == "counter") != strings.HasSuffix(family, "_total") || kind == "counter" && !(v >= 0) {
			return nil, fmt.Errorf("line %d: type %s of %s, value %v", i, kind, family, v)
		}
		series := m[1] + "{" + m[2] + "}"
		if _, ok := out[series]; ok {
			return nil, fmt.Errorf("line %d: %s twice", i, series)
		}
		out[series] = v
	}
	return out, nil
}

func TestPrometheus(t *testing.T) {
	one, two := finished(), finished()
	two.Name = "a \"b\"\\c\nd <e>"
	two.Stages[0].Name = "é}"
	two.Steps = two.Steps[:1]
	two.Events = nil
	var b strings.Builder
	if err := Prometheus(&b, one, two, &Run{Name: "empty"}); err != nil {
		t.Fatal(err)
	}
	got, err := parsePrometheus(b.String())
	if err != nil {
		t.Fatal(err)
	}
	for series, want := range map[string]float64{
		`temper_steps_total{run="small"}`:                                4,
		`temper_tokens_total{run="a \"b\"\\c\nd <e>"}`:                   100,
		`temper_stage{run="a \"b\"\\c\nd <e>",stage="é}"}`:               0,
		`temper_loss{run="small",loss="lm"}`:                             1,
		`temper_mfu_ratio{run="small",convention="megatron"}`:            0.6,
		`temper_evaluation{run="small",stage="base",measure="accuracy"}`: 0.75,
		`temper_step_part_seconds_total{run="small",part="forward"}`:     2.4,
		`temper_events_total{run="small",kind="evaluation"}`:             2,
		`temper_run_ended{run="small"}`:                                  1,
		`temper_run_ended{run="empty"}`:                                  0,
		`temper_last_step_timestamp_seconds{run="small"}`:                6,
		`temper_memory_peak_bytes{run="small"}`:                          1 << 20,
		`temper_tokens_per_second{run="small"}`:                          100,
		`temper_gradient_norm{run="small"}`:                              1,
		`temper_supervised_tokens_total{run="small"}`:                    360,
		`temper_max_violation_ratio{run="small"}`:                        0.5,
		`temper_step_seconds_total{run="small"}`:                         4,
		`temper_examples_total{run="small"}`:                             16,
	} {
		if v, ok := got[series]; !ok || v != want {
			t.Errorf("%s = %v %v, want %v", series, v, ok, want)
		}
	}
	if err := Prometheus(&b, one, finished()); err == nil || !strings.Contains(err.Error(), "names must differ") {
		t.Errorf("two runs of one name: %v", err)
	}
	one.Steps[3].Losses[0].Value = -1
	one.Steps[3].Losses = append(one.Steps[3].Losses, Value{"lm", 2})
	if err := Prometheus(&b, one); err == nil {
		t.Error("two losses of one name pass")
	}
}

func TestRolloutsAreMeasured(t *testing.T) {
	r := synthetic(t, small)
	var text, events strings.Builder
	if err := Prometheus(&text, r); err != nil {
		t.Fatal(err)
	}
	if m, err := parsePrometheus(text.String()); err != nil || m[`temper_rollout{run="synthetic",stage="rl",measure="generations"}`] != 256 {
		t.Errorf("%v\n%v", err, m)
	}
	if err := TensorBoard(&events, r); err != nil || strings.Count(events.String(), "rollout/rl/reward") < 60 {
		t.Errorf("%v, no rewards among the events", err)
	}
}
