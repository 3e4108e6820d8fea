package recipe

import (
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/dpo"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/optim"
)

// defaults returns what a recipe is before its file is read.
func defaults() Recipe {
	return Recipe{
		Seed:       1,
		Checkpoint: Checkpoint{Every: 200, Keep: 2},
		Export:     Export{DType: "bf16"},
		Record:     Record{DigestPeriod: digest.DefaultPeriod},
	}
}

// defaultStage returns what a stage is before its part of the file is read.
// Routers: their weights train; the balance bias moves at V4's published rate
// in continued pre-training and is frozen afterwards, where small, skewed batches
// would only add noise to it.
func defaultStage(method string) Stage {
	s := Stage{
		Method: method,
		Data:   posttrain.Data{Format: "auto", Encoding: "deepseek-v4", Sequence: 1024, Rows: 8},
		Config: train.Config{
			Slots: 1, MicroRows: 1, Recompute: "none",
			Optimizer: optim.Default(),
			LR:        optim.LRSchedule{Name: "cosine"},
			Loss:      train.Loss{MTP: 0.3, Balance: 1e-4, Indexer: 0.01},
			Router:    train.Router{Train: true, BiasRate: 0.001},
			NonFinite: "stop",
		},
	}
	if method == "sft" {
		s.Loss.MTP = 0.1
		s.Router.BiasRate = 0
	}
	if method == "dpo" {
		s.DPO = &dpo.Loss{Kind: "sigmoid", Beta: 0.1}
		s.LR.Peak = 1e-6 // the policy must stay near its reference
		s.Loss.MTP = 0   // an MTP block would learn the rejected answers too
		s.Router.BiasRate = 0
	}
	if method == "cpt" {
		s.Data.Overlong = "split"
	}
	if posttrain.Asks(method) {
		s.asks()
	}
	s.defaultTeaching()
	return s
}

// UnmarshalYAML fills what the file leaves out with the method's defaults.
func (s *Stage) UnmarshalYAML(decode func(any) error) error {
	var peek map[string]any
	if err := decode(&peek); err != nil {
		return err
	}
	method, _ := peek["method"].(string)
	type plain Stage // without this method
	p := plain(defaultStage(method))
	if section, _ := peek["dpo"].(map[string]any); p.DPO != nil {
		switch section["kind"] {
		case "simpo":
			p.DPO.Beta, p.DPO.Margin = 2, 1 // by token, rewards are some hundred times smaller
		case posttrain.KTO:
			p.DPO.Desirable, p.DPO.Undesirable = 1, 1
		}
	}
	if posttrain.Asks(method) {
		first := plain(defaultStage(method))
		if err := decode(&first); err != nil {
			return err
		}
		if first.Rollout != nil && first.GRPO != nil { // else Check says that they are empty
			(*Stage)(&p).defaultAnswers(peek, (*Stage)(&first))
		}
	}
	if err := decode(&p); err != nil {
		return err
	}
	*s = Stage(p)
	return nil
}

// UnmarshalYAML fills what the file leaves out.
func (t *TokenizerTraining) UnmarshalYAML(decode func(any) error) error {
	type plain TokenizerTraining
	p := plain{PreTokenizer: "deepseek", MinFrequency: 2}
	if err := decode(&p); err != nil {
		return err
	}
	*t = TokenizerTraining(p)
	return nil
}
