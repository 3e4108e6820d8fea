package recipe

import (
	"fmt"
	"strings"
	"testing"
)

// asking is the shortest legal recipe of a stage that learns from its own answers.
const asking = `name: x
model: {init: tiny-v4}
tokenizer: {file: t.json}
stages:
- name: one
  method: grpo
  data: {files: [a.jsonl]}
  rewards: [{numeric: {answer: answer}}]
  steps: 8
`

func TestAnswersDefaults(t *testing.T) {
	r, err := decode(asking)
	if err != nil {
		t.Fatal(err)
	}
	s := r.Stages[0]
	if s.GRPO.Variant != "dapo" || !s.GRPO.OnPolicy || !s.GRPO.Dynamic || s.Rollout.Waves != 4 || s.Data.Rows != 0 || s.LR.Peak != 1e-6 || s.LR.Name != "constant" || s.Router.BiasRate != 0 || s.Loss.MTP != 0 {
		t.Errorf("%+v, %+v, %+v", s, s.GRPO, s.Rollout)
	}
	r, err = decode(asking + "  rollout: {ahead: 1, max_tokens: 100}\n  grpo: {variant: dr-grpo}\n")
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Stages[0]; s.GRPO.OnPolicy || s.GRPO.Old != "computed" || s.GRPO.MaxTokens != 100 || s.Rollout.Waves != 1 || s.GRPO.Correction.Kind != "token" {
		t.Errorf("%+v, %+v", s.GRPO, s.Rollout)
	}
}

func TestCompleteAnswersRoundTrip(t *testing.T) {
	sections := []string{
		"", "  rollout: {ahead: 1}\n", "  rollout: {ahead: 1}\n  grpo: {correction: {kind: none}}\n", "  grpo: {variant: dr-grpo, aggregate: token}\n", "  rollout: {waves: 1}\n",
		"  grpo: {variant: dapo, dynamic: false, on_policy: false}\n", "  grpo: {kl: {weight: 0.1}}\n", "  rollout: {temperature: 0.7, top_k: 5, stop: [a]}\n", "  grpo: {old: sampled, replay: true, clip_high: 0}\n",
	}
	for _, v := range []string{"grpo", "dapo", "dr-grpo", "gspo", "cispo"} {
		sections = append(sections, fmt.Sprintf("  grpo: {variant: %s}\n", v))
	}
	for _, section := range sections {
		r, err := decode(asking + section)
		if err != nil {
			t.Errorf("%s: %v", section, err)
			continue
		}
		text, err := r.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(string(text))
		if err != nil {
			t.Errorf("%s: %v in\n%s", section, err, text)
			continue
		}
		if text2, err := again.YAML(); err != nil || string(text) != string(text2) {
			t.Errorf("a round trip changed\n%s\ninto\n%s (%v)", text, text2, err)
		}
	}
}

func TestMistakesAboutAnswers(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"steps: 8", "steps: 8\n  rollout: {group: 1}", "stages[0].rollout.group: 1 answer has nothing to be better than"},
		{"steps: 8", "steps: 8\n  rollout: {prompts: 2, group: 3, updates: 7}", "stages[0].rollout.updates: 7"},
		{"steps: 8", "steps: 8\n  rollout: {max_tokens: 1024}", "stages[0].rollout.max_tokens: 1024 leaves no room"},
		{"steps: 8", "steps: 8\n  rollout: {temperature: 0}", "stages[0].rollout.temperature: 0"},
		{"steps: 8", "steps: 8\n  rollout: {prompt: 3}", `unknown field "prompt"`},
		{"steps: 8", "steps: 9\n  rollout: {updates: 4}", "stages[0].steps: 9 is not a multiple of the 4 steps of a round (rollout.updates × rollout.epochs): nearest is 8"},
		{"steps: 8", "epochs: 2", "stages[0].epochs: how many questions a round uses is known once it is answered: give steps, of which 16 prompts take 1"},
		{"files: [a.jsonl]", "files: [a.jsonl], rows: 4", "stages[0].data.rows: 4, but what a step of grpo learns"},
		{"files: [a.jsonl]", "files: [a.jsonl], format: text", "stages[0].data.format: text asks nothing"},
		{"  rewards: [{numeric: {answer: answer}}]\n", "", "rewards: no rule"},
		{"[{numeric: {answer: answer}}]", "[{numeric: {answer: answer}, exact: {answer: a}}]", "stages[0].rewards[0]: 2 kinds"},
		{"[{numeric: {answer: answer}}]", "[{numeric: {answer: answer}, weight: .nan}]", "stages[0].rewards[0].weight: NaN"},
		{"[{numeric: {answer: answer}}]", "[{name: reward, numeric: {answer: answer}}]", `stages[0].rewards[0].name: "reward" is what`},
		{"steps: 8", "steps: 8\n  grpo: {variant: ppo}", `stages[0].grpo.variant: "ppo" is unknown, want one of cispo, dapo`},
		{"steps: 8", "steps: 8\n  grpo: {on_policy: true}\n  rollout: {ahead: 1}", "stages[0].grpo.on_policy: rounds that are sampled ahead"},
		{"steps: 8", "steps: 8\n  grpo: {clip_low: 2}", "stages[0].grpo.clip_low: 2"},
		{"method: grpo", "method: sft", "stages[0].rewards: method sft asks the model nothing"},
	} {
		src := strings.Replace(asking, c.old, c.new, 1)
		if c.new == "method: sft" {
			src = strings.Replace(src, "steps: 8", "steps: 8\n  lr: {peak: 1e-3}", 1)
		}
		if _, err := decode(src); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.new, err, c.want)
		}
	}
}

// A program that judges need not be here for the recipe to be read.
func TestProgramsElsewhere(t *testing.T) {
	r, err := decode(strings.Replace(asking, "[{numeric: {answer: answer}}]", "[{command: {args: [./judge, --strict, ../x.json]}}]", 1))
	if err != nil {
		t.Fatal(err)
	}
	s := &r.Stages[0]
	if got := strings.Join(s.Programs(), " "); got != "./judge ../x.json" || !s.Commands() {
		t.Errorf("programs %q", got)
	}
	specs, err := r.StageRewards(0)
	if err != nil || specs[0].Command.Args[0] != "dir/judge" || specs[0].Command.Args[1] != "--strict" || s.Rewards[0].Command.Args[0] != "./judge" {
		t.Errorf("%v, %v", specs[0].Command, err)
	}
}
