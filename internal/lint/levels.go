package lint

import "strings"

// Module is the import path that all rules are relative to.
const Module = "github.com/temper-ml/temper"

// levels is the import table: a package may import packages of lower levels
// only, and of its own level where sameLevel says so. A path ending in "/..."
// covers the folders below it.
var levels = []struct {
	path  string
	level int
}{
	{"cmd/...", 8},
	{"recipe/...", 7},
	{"posttrain/reward", 2},
	{"posttrain/reward/program", 1},
	{"posttrain/...", 6},
	{"eval", 6},
	{"launch/...", 6},
	{"serve", 6},
	{"serve/console", 6},
	{"serve/answer", 5},
	{"serve/answer/answertest", 5},
	{"train", 5},
	{"train/stepbench", 5},
	{"train/parallelize", 4},
	{"model/generate", 4},
	{"model/generate/decodebench", 5},
	{"dashboard", 4},
	{"model/deepseek/...", 3},
	{"cluster/planbench", 4},
	{"cluster/sim", 3},
	{"cluster/planner", 3},
	{"cluster/planner/order", 2},
	{"cluster/planner/advice", 3},
	{"cluster/campaign/...", 3},
	{"cluster/validation", 3},
	{"cluster/validation/fit", 0},
	{"cluster/validation/measured", 3},
	{"report/render", 3},
	{"report/audit", 3},
	{"report/attest", 3},
	{"nn/...", 2},
	{"train/loss", 2},
	{"train/optim", 2},
	{"train/checkpoint", 2},
	{"train/checkpoint/safetensors", 1},
	{"train/checkpoint/hf", 2},
	{"distributed/shard", 2},
	{"distributed/expert", 2},
	{"distributed/pipeline", 2},
	{"cluster/costmodel/...", 2},
	{"report/verify", 2},
	{"report/verify/verifytest", 2},
	{"compute/tensor", 1},
	{"compute/kernel/...", 1},
	{"distributed/schedule/...", 1},
	{"distributed/collective", 1},
	{"cluster/hardware", 1},
	{"model/arch", 1},
	{"report/runlog", 1},
	{"data", 1},
	{"data/chat", 1},
	{"data/source", 1},
	{"data/preview", 1},
	{"data/databench", 1},
	{"compute/dtype", 0},
	{"compute/internal/...", 0},
	{"distributed/mesh", 0},
	{"distributed/transport", 0},
	{"distributed/linkbench", 0},
	{"data/tokenizer/...", 0},
	{"report/record", 0},
	{"report/record/digest", 0},
	{"report/record/merkle", 0},
	{"report/record/trace", 0},
	{"internal/...", 0},
}

// sameLevel lists the imports allowed within one level: importer to imported.
var sameLevel = map[string][]string{
	"internal/durable":             {"internal/unit"},
	"internal/durable/durabletest": {"internal/durable"},
	"report/verify/verifytest":     {"report/verify"},
	"nn/attention":                 {"nn"},
	"data":                         {"data/chat", "data/source"},
	"data/source":                  {"data/chat"},
	"cluster/costmodel/memory":     {"cluster/costmodel/operator"},
	"cluster/planner/advice":       {"cluster/planner"},
	"cluster/validation":           {"cluster/validation/measured"},
	"cluster/costmodel":            {"cluster/costmodel/fabric", "cluster/costmodel/memory", "cluster/costmodel/operator"},
	"cluster/campaign":             {"cluster/campaign/goodput", "cluster/campaign/rollout"},
	"posttrain/preference":         {"posttrain/dpo"},
	"posttrain/opd":                {"posttrain/pack", "posttrain/rollout"},
	"posttrain/policy":             {"posttrain/grpo", "posttrain/pack", "posttrain/rollout"},
	"posttrain/rollout":            {"posttrain", "posttrain/grpo", "posttrain/rollout/journal"},
	"posttrain/policy/policybench": {"posttrain", "posttrain/policy", "posttrain/rollout"},
	"recipe/execution":             {"recipe"},
	"report/record/trace":          {"report/record", "report/record/digest", "report/record/merkle"},
	"recipe/replay":                {"recipe", "recipe/execution"},
	"train/stepbench":              {"train"},
	"data/preview":                 {"data"},
	"data/databench":               {"data", "data/chat", "data/source"},
	"compute/kernel/kerneltest":    {"compute/kernel"},
	"compute/kernel/kernelbench":   {"compute/kernel"},
	"compute/kernel/devicebench":   {"compute/kernel", "compute/kernel/kernelbench"},
	"serve/answer/answertest":      {"serve/answer"},
	"model/deepseek":               {},
	"model/deepseek/deepseektest":  {"model/deepseek"},
	"data/tokenizer/tokenizertest": {"data/tokenizer"},

	"distributed/schedule/scheduletest": {"distributed/schedule"},
}

// walls are imports that no level permits: from a room (and below) to a room
// (and below). They keep evidence, planning and training apart.
var walls = []struct{ from, to, why string }{
	{"report/verify", "train", "verification must not trust the trainer"},
	{"report/audit", "train", "an audit must not trust the trainer"},
	{"report/verify", "nn", "verification must not trust the trainer"},
	{"report/attest", "train", "what is attested comes from the record, not from the trainer"},
	{"dashboard", "train", "the dashboard reads records only"},
	{"cluster", "compute", "planning needs no tensors"},
	{"cluster", "nn", "planning needs no tensors"},
	{"cluster", "train", "planning needs no trainer"},
	{"distributed", "nn", "transport moves slices and knows no layers"},
	{"distributed", "model/deepseek", "transport moves slices and knows no model"},
	{"distributed", "train", "transport moves slices and knows no trainer"},
	{"nn", "distributed", "layers declare the interfaces they need"},
	{"model/deepseek", "distributed", "the model meets ranks in train/parallelize only"},
}

// level returns the level of a package path relative to the module, or -1.
func level(rel string) int {
	for _, l := range levels {
		if within(rel, l.path) {
			return l.level
		}
	}
	return -1
}

// within reports whether rel is path, or below it when path ends in "/...".
func within(rel, path string) bool {
	base, tree := strings.CutSuffix(path, "/...")
	return rel == base || tree && strings.HasPrefix(rel, base+"/")
}
