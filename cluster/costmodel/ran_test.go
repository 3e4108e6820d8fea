package costmodel_test

import (
	"fmt"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
)

// ran is a layout that an engine's own scripts run, with the memory options that
// they set: the model must find it legal, and it must fit.
type ran struct {
	source string // whose script or report, in words
	situation
	// lacks says which saving of the engine is not described here, for the
	// layouts that do not fit without it, and over how much they miss at most.
	lacks string
	over  float64
}

func run(source, model, cluster string, devices, seq, batch int, dtype, engine, layout string) ran {
	return ran{source: source, situation: situation{model, cluster, devices, costmodel.Workload{Seq: seq, GlobalBatch: batch, DType: dtype}, layout, engine}}
}

// scaled is a run whose fp8 operands are scaled per tensor.
func scaled(r ran) ran {
	r.work.Scaling = "tensorwise"
	return r
}

// but is a run that does not fit without a saving that is not described.
func but(r ran, lacks string, over float64) ran {
	r.lacks, r.over = lacks, over
	return r
}

// What the recipes of Megatron-Bridge choose beside the layout.
const (
	bf16Gradients = "megatron+bf16-gradients"
	bf16Optimizer = "megatron+bf16-gradients+bf16-moments"
	bf16Moments   = "megatron+bf16-moments"
	reuse         = "mindspeed+reuse-master"
)

// An even split of 61 blocks over 16 positions, as recipes for DeepSeek-V3 write it.
const sixteen = ",split=Et*4|(t*4|)*14tmL"

var deepseekRuns = []ran{
	run("Megatron-Bridge, DeepSeek-V3 fp8 subchannel", "deepseek-v3", "h100", 1024, 4096, 16384, "fp8", bf16Optimizer, "tp=2,pp=8,vpp=2,ep=64,recompute=mla_up_proj+mlp"+sixteen),
	run("Megatron-Bridge, DeepSeek-V3 bf16", "deepseek-v3", "h100", 1024, 4096, 8192, "bf16", bf16Optimizer, "tp=2,pp=8,vpp=4,ep=64,recompute=mla_up_proj+mlp,split=Et|(tt|)*30mL"),
	scaled(run("Megatron-Bridge, DeepSeek-V3 fp8 current scaling", "deepseek-v3", "h100", 1024, 4096, 16384, "fp8", bf16Optimizer, "tp=2,pp=8,vpp=4,ep=64,recompute=mla_up_proj+mlp,split=Et|(tt|)*30mL")),
	run("Megatron-Bridge, library recipe", "deepseek-v3", "h100", 1024, 4096, 4096, "bf16", bf16Optimizer, "tp=2,pp=16,ep=64"+sixteen),
	run("Megatron-Bridge, library recipe for 32 nodes", "deepseek-v3", "h100", 256, 4096, 4096, "bf16", bf16Optimizer, "tp=2,pp=8,ep=32,recompute=full,split=Et*8|(t*8|)*6t*5mL"),
	run("Megatron-Bridge", "deepseek-v3", "gb200", 256, 4096, 2048, "bf16", bf16Optimizer, "pp=4,vpp=4,ep=64,recompute=mla_up_proj"+sixteen),
	run("Megatron-Bridge", "deepseek-v3", "gb200", 256, 4096, 4096, "mxfp8", bf16Optimizer, "pp=4,vpp=4,ep=64,recompute=mla_up_proj"+sixteen),
	run("Megatron-Bridge", "deepseek-v3", "gb300", 256, 4096, 4096, "bf16", bf16Optimizer, "pp=4,vpp=4,ep=64,recompute=moe_act"+sixteen),
	run("Megatron-Bridge", "deepseek-v3", "gb300", 256, 4096, 4096, "mxfp8", bf16Optimizer, "pp=2,vpp=8,ep=32"+sixteen),
	scaled(run("Megatron-Bridge", "deepseek-v3", "gb300", 256, 4096, 2048, "fp8", bf16Optimizer, "pp=2,vpp=8,ep=32,mbs=2,recompute=mla_up_proj"+sixteen)),
	run("Megatron-Bridge", "deepseek-v3", "b300", 256, 4096, 4096, "bf16", bf16Optimizer, "pp=8,vpp=2,ep=8,recompute=mla_up_proj"+sixteen),
	run("Megatron-Bridge", "deepseek-v3", "b200", 256, 4096, 4096, "bf16", bf16Optimizer, "pp=16,ep=8,recompute=mla_up_proj"+sixteen),
	run("Megatron-Bridge", "deepseek-v3", "b200", 256, 4096, 4096, "mxfp8", bf16Optimizer, "pp=8,vpp=2,ep=32,recompute=mla_up_proj+mlp"+sixteen),
	run("NeMo-RL", "deepseek-v3", "h100", 256, 4096, 512, "bf16", "", "pp=16,ep=16,recompute=full"),
	run("NeMo-RL", "deepseek-v3", "h100", 512, 4096, 512, "bf16", "", "pp=16,ep=16,recompute=full"),
	run("NeMo-RL", "deepseek-v3", "gb200", 128, 4096, 512, "bf16", "", "pp=8,ep=16,recompute=full"),
	run("verl's guide to DeepSeek-V3", "deepseek-v3", "h20", 512, 4096, 512, "bf16", "", "pp=16,ep=32,recompute=full"),
	run("verl's guide to DeepSeek-V3", "deepseek-v3", "h20", 256, 4096, 512, "bf16", "", "tp=8,pp=16,ep=8,recompute=full"),
	run("verl's guide to DeepSeek-V3", "deepseek-v3", "h20", 128, 4096, 512, "bf16", "", "tp=8,pp=16,ep=8,recompute=full,offload=optimizer"),
	run("verl's guide to DeepSeek-V3", "deepseek-v3", "h20", 96, 4096, 512, "bf16", "", "tp=8,pp=12,ep=8,recompute=full,offload=optimizer"),
	but(run("the report of DeepSeek-V3", "deepseek-v3", "h800", 2048, 4096, 15360, "fp8", "hai-llm", "pp=16,ep=64,schedule=dualpipe,recompute=selective"),
		"activations kept in fp8 beside the inputs of products, no copies of weights in bf16", 1.31),
	run("the report of DeepSeek-V3, everything recomputed", "deepseek-v3", "h800", 2048, 4096, 15360, "fp8", "hai-llm", "pp=16,ep=64,schedule=dualpipe,recompute=full"),
}

// MindSpeed's --moe-tp-extend-ep spreads experts over TP*EP ranks: ep here is
// that product.
var ascendRuns = []ran{
	run("MindSpeed-LLM, full fine-tuning", "deepseek-v3", "ascend-910c", 256, 4096, 1024, "bf16", reuse, "tp=2,pp=16,ep=16,recompute=full"+sixteen),
	run("MindSpeed-LLM, full fine-tuning on A2", "deepseek-v3", "ascend-910b", 512, 4096, 64, "bf16", reuse, "pp=8,ep=64,recompute=full"),
	run("MindSpeed-LLM, pre-training", "deepseek-v3", "ascend-910c", 512, 4096, 3840, "bf16", "mindspeed", "tp=2,pp=8,ep=32,schedule=dualpipev,recompute=full,offload=optimizer"+sixteen),
	run("MindSpeed-LLM, 512 dies: experts' inputs formed again", "deepseek-v3", "ascend-910c", 512, 4096, 7680, "bf16", "mindspeed", "tp=2,pp=4,ep=128,schedule=dualpipev,recompute=mla_up_proj+moe,offload=optimizer"),
	but(run("MindSpeed-LLM, 512 dies, as the modules have it", "deepseek-v3", "ascend-910c", 512, 4096, 7680, "bf16", "mindspeed", "tp=2,pp=4,ep=128,schedule=dualpipev,recompute=mla_up_proj+moe_act,offload=optimizer"),
		"attention outputs swapped to the host, tokens of experts dispatched again (moe-zero-memory)", 1.13),
	run("MindSpeed-LLM, 512 dies of A2", "deepseek-v3", "ascend-910b", 512, 4096, 7680, "bf16", "mindspeed", "tp=4,pp=8,ep=32,schedule=dualpipev,recompute=moe_act,offload=optimizer"+sixteen),
	run("MindSpeed-LLM, V3.2, two layers a chunk", "deepseek-v3", "ascend-910c", 512, 4096, 7680, "bf16", "mindspeed", "tp=4,pp=8,vpp=4,ep=64,recompute=full,offload=optimizer"),
	run("MindSpeed-LLM, V3.2 at 16K", "deepseek-v3", "ascend-910c", 512, 16384, 512, "bf16", "mindspeed", "tp=16,pp=8,cp=2,ep=64,schedule=dualpipev,recompute=full,offload=optimizer"+sixteen),
	run("MindSpeed-LLM, 1,024 dies", "kimi-k2", "ascend-910c", 1024, 4096, 8192, "bf16", "mindspeed", "tp=2,pp=8,ep=64,schedule=dualpipev,recompute=mla_up_proj+moe,offload=optimizer"),
	run("MindSpeed-LLM, pre-training", "deepseek-v4-flash", "ascend-910c", 256, 4096, 1024, "bf16", "mindspeed", "tp=2,pp=2,vpp=11,ep=128,recompute=full,offload=optimizer"),
	run("MindSpeed-LLM, pre-training", "deepseek-v4-flash", "ascend-910c", 256, 4096, 2048, "bf16", "mindspeed", "pp=2,vpp=11,ep=128,recompute=full,offload=optimizer"),
	run("MindSpeed-LLM, 128K", "deepseek-v4-flash", "ascend-910c", 256, 131072, 64, "bf16", "mindspeed", "pp=4,cp=16,ep=32,recompute=full,offload=optimizer"),
	run("MindSpeed-LLM, full fine-tuning", "deepseek-v4-flash", "ascend-910c", 128, 4096, 1024, "bf16", "mindspeed", "pp=4,ep=32,recompute=full,offload=optimizer,split=Et*11|t*11|t*11|t*10mL"),
	run("SLAI T-Rex, fine-tuning", "deepseek-v4-flash", "ascend-910c", 128, 8192, 128, "bf16", "mindspeed", "pp=4,ep=32,recompute=full,offload=optimizer"),
	run("MindSpeed-LLM, 512 of A5", "deepseek-v4-pro", "ascend-950pr", 512, 4096, 4096, "bf16", "mindspeed", "pp=8,vpp=2,ep=64,recompute=full,offload=optimizer,split=Et*4|(t*4|)*14tmL"),
	run("MindSpeed-LLM, 8K", "llama2-70b", "ascend-910c", 256, 8192, 64, "bf16", reuse, "tp=4,pp=4,cp=2,vpp=10,recompute=act"),
}

var otherRuns = []ran{
	run("Megatron-Bridge", "qwen3-235b-a22b", "h100", 256, 4096, 8192, "bf16", bf16Gradients, "tp=2,pp=8,vpp=4,ep=32"),
	scaled(run("Megatron-Bridge", "qwen3-235b-a22b", "h100", 256, 4096, 8192, "fp8", bf16Gradients, "tp=2,pp=8,vpp=4,ep=32")),
	run("Megatron-Bridge", "qwen3-235b-a22b", "gb300", 64, 4096, 1024, "bf16", bf16Gradients, "ep=64,mbs=2"),
	run("Megatron-Bridge", "qwen3-235b-a22b", "gb300", 256, 4096, 8192, "bf16", bf16Gradients, "ep=32,pp=4,mbs=2"),
	run("Megatron-Bridge", "qwen3-235b-a22b", "gb300", 256, 4096, 8192, "mxfp8", bf16Gradients, "ep=32,pp=4,vpp=12,mbs=2"),
	run("Megatron-Bridge", "qwen3-235b-a22b", "gb200", 64, 4096, 1024, "bf16", bf16Gradients, "pp=8,ep=8"),
	run("Megatron-Bridge", "qwen3-235b-a22b", "gb200", 256, 4096, 8192, "mxfp8", bf16Gradients, "pp=8,vpp=3,ep=32"),
	run("Megatron-Bridge", "qwen3-235b-a22b", "b200", 64, 4096, 1024, "bf16", bf16Gradients, "pp=8,vpp=4,ep=8"),
	run("Megatron-Bridge", "qwen3-235b-a22b", "b300", 64, 4096, 1024, "bf16", bf16Gradients, "pp=8,ep=8"),
	run("Megatron-Bridge", "qwen3-30b-a3b", "h100", 16, 4096, 1024, "bf16", bf16Gradients, "ep=16"),
	run("Megatron-Bridge", "qwen3-30b-a3b", "gb300", 8, 4096, 512, "bf16", bf16Gradients, "ep=8,mbs=8"),
	run("Megatron-Bridge", "qwen3-30b-a3b", "gb200", 8, 4096, 512, "bf16", bf16Gradients, "ep=8,mbs=4"),
	run("Megatron-Bridge", "qwen3-30b-a3b", "b200", 8, 4096, 512, "bf16", bf16Gradients, "ep=8,mbs=4"),
	run("Megatron-Bridge", "qwen3-30b-a3b", "b300", 8, 4096, 512, "mxfp8", bf16Gradients, "ep=8,mbs=8"),
	run("Megatron-Bridge", "llama3-405b", "h100", 1024, 8192, 1536, "bf16", bf16Gradients, "tp=8,pp=8,cp=2,vpp=8,split=Et|(tt|)*62tL"),
	scaled(run("Megatron-Bridge", "llama3-405b", "h100", 1024, 8192, 512, "fp8", bf16Gradients, "tp=8,pp=8,cp=2,vpp=8,split=Et|(tt|)*62tL")),
	run("Megatron-Bridge", "llama3-405b", "gb200", 128, 8192, 64, "bf16", bf16Gradients, "tp=4,pp=8,cp=2,vpp=8,split=Et|(tt|)*62tL"),
	run("Megatron-Bridge", "llama3-405b", "b200", 128, 8192, 64, "mxfp8", bf16Gradients, "tp=4,pp=8,cp=2,vpp=8,split=Et|(tt|)*62tL"),
	run("Megatron-Bridge", "llama3-405b", "gb300", 128, 8192, 64, "mxfp8", bf16Gradients, "tp=4,pp=8,cp=2,vpp=4,split=Et*3|(tttt|)*30tttL"),
	but(run("Megatron-Bridge", "llama3-405b", "gb200", 256, 8192, 1536, "bf16", bf16Gradients, "tp=4,pp=16,vpp=8,split=E|(t|)*126L"),
		"an allocator with segments that grow reserves little beyond what it hands out", 1.05),
	but(run("Megatron-Bridge, Megatron-FSDP, activations of 40 layers on the host", "llama3-405b", "gb300", 256, 8192, 1536, "bf16", bf16Gradients, "tp=2,zero=3"),
		"activations offloaded to the host", 1.14),
	but(run("Megatron-Bridge, inputs of attention and its projection on the host", "deepseek-v4-pro", "gb300", 256, 4096, 4096, "mxfp8", bf16Moments, "pp=4,vpp=4,ep=64,recompute=mla_up_proj+mhc,split=Et*4|(tttt|)*14tmL"),
		"activations offloaded to the host", 1.04),
	run("Megatron-Bridge, Adam in 32 bit", "deepseek-v4-flash", "gb300", 32, 4096, 128, "bf16", "", "pp=4,ep=8,recompute=moe_act+mhc,split=Et*11|t*11|t*11|t*10mL"),
	run("ms-swift, full fine-tuning, optimizer on the host", "deepseek-v4-flash", "h100", 64, 4096, 128, "bf16", "", "pp=8,ep=8,recompute=full,offload=optimizer,split=Et*5|t*5|t*6|t*6|t*6|t*5|t*5|t*5mL"),
}

func allRuns() []ran {
	return append(append(append([]ran{}, deepseekRuns...), ascendRuns...), otherRuns...)
}

func TestLayoutsThatRunFit(t *testing.T) {
	for _, r := range allRuns() {
		c := loadCluster(t, r.cluster)
		l, err := costmodel.ParseLayout(r.layout, r.devices)
		if err != nil {
			t.Errorf("%s: %v", r.source, err)
			continue
		}
		_, err = r.bare(t, c, false).Evaluate(l)
		what := fmt.Sprintf("%s: %s on %d %s, %s", r.source, r.model, r.devices, r.cluster, r.layout)
		if err == nil && r.lacks == "" {
			continue
		}
		if err == nil {
			t.Errorf("%s: fits, although the engine needs %q: say so no longer", what, r.lacks)
			continue
		}
		if rejection(err) != "memory" || r.lacks == "" {
			t.Errorf("%s: %v", what, err)
			continue
		}
		s := r.step(t)
		if need := float64(fullest(s).Total) / float64(c.Device.Memory); need > r.over {
			t.Errorf("%s: needs %.3f of the device's memory, want at most %.2f without %s", what, need, r.over, r.lacks)
		}
	}
}

// What cannot run must not fit, either.
func TestLayoutsThatCannotRunDoNotFit(t *testing.T) {
	for _, r := range []ran{
		run("32 devices hold 18 bytes for each of 1.6 T parameters", "deepseek-v4-pro", "gb300", 32, 4096, 128, "bf16", "", "pp=4,ep=8,recompute=full"),
		run("the fine-tuning recipe for 32 devices, on 80 GB", "deepseek-v4-flash", "h100", 32, 4096, 128, "bf16", "", "pp=4,ep=8,recompute=full"),
		run("the same on twice as many", "deepseek-v4-flash", "h100", 64, 4096, 128, "bf16", "", "pp=4,ep=8,recompute=full"),
		run("optimizer state of 671 B parameters on 128 of 96 GB", "deepseek-v3", "h20", 128, 4096, 512, "bf16", "", "tp=8,pp=16,ep=8,recompute=full"),
		run("405 B parameters on one node", "llama3-405b", "h100", 8, 4096, 8, "bf16", "", "tp=8,recompute=full,offload=optimizer"),
		run("experts divided by ep alone", "deepseek-v3", "ascend-910c", 256, 4096, 1024, "bf16", reuse, "tp=2,pp=16,ep=8,recompute=full"),
		run("no recomputation where MindSpeed needs some", "deepseek-v3", "ascend-910c", 512, 4096, 4096, "bf16", "mindspeed", "tp=2,pp=4,ep=128,schedule=dualpipev,offload=optimizer"),
	} {
		l, err := costmodel.ParseLayout(r.layout, r.devices)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.bare(t, loadCluster(t, r.cluster), false).Evaluate(l); rejection(err) != "memory" && rejection(err) != "host memory" {
			t.Errorf("%s: %s on %d %s, %s: %v, want it refused for memory", r.source, r.model, r.devices, r.cluster, r.layout, err)
		}
	}
}

// Checkpoints that were imported need no more than their weights.
func TestWeightsAloneFitWhereTheyWereImported(t *testing.T) {
	for _, r := range []ran{
		run("Megatron-Bridge, import", "deepseek-v4-pro", "h100", 128, 4096, 128, "bf16", "", "pp=16,ep=8,recompute=full"),
		run("Megatron-Bridge, import", "deepseek-v4-pro", "gb200", 32, 4096, 128, "bf16", "", "pp=4,ep=8,recompute=full"),
		run("Megatron-Bridge, import", "deepseek-v4-flash", "h100", 32, 4096, 128, "bf16", "", "pp=4,ep=8,recompute=full"),
	} {
		s, c := r.step(t), loadCluster(t, r.cluster)
		var sum int64
		for _, m := range s.Memory {
			sum += m.Weights
			if m.Weights > c.Device.Memory*9/10 {
				t.Errorf("%s of %s on %d %s: weights of %d bytes do not fit", r.source, r.model, r.devices, r.cluster, m.Weights)
			}
		}
		if total, _, _ := loadModel(t, r.model).Count(); sum < 2*total/int64(r.devices) {
			t.Errorf("%s: stages hold %d bytes of weights, less than their share of %d values", r.model, sum, total)
		}
	}
}

// Engines split the attention of DeepSeek-V4 over as many ranks as they can.
func TestWidthsThatEnginesLackAreRefused(t *testing.T) {
	w := costmodel.Workload{Seq: 4096, GlobalBatch: 512}
	for _, tc := range []struct {
		s    situation
		rule string
	}{
		{situation{"deepseek-v4-pro", "ascend-910c", 512, w, "tp=2,pp=8,ep=32,recompute=full", ""}, ""},
		{situation{"deepseek-v4-pro", "ascend-910c", 512, w, "tp=4,pp=8,ep=32,recompute=full", ""}, "sharding"},
		{situation{"deepseek-v4-pro", "h100", 512, w, "tp=2,pp=8,ep=32,recompute=full", ""}, "sharding"},
		{situation{"deepseek-v3", "ascend-910c", 512, w, "tp=16,pp=8,ep=32,recompute=full", ""}, ""},
	} {
		l, err := costmodel.ParseLayout(tc.s.layout, tc.s.devices)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tc.s.bare(t, loadCluster(t, tc.s.cluster), true).Evaluate(l); rejection(err) != tc.rule || (err == nil) != (tc.rule == "") {
			t.Errorf("%s on %s, %s: %v, want rule %q", tc.s.model, tc.s.cluster, tc.s.layout, err, tc.rule)
		}
	}
}
