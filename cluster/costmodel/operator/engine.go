package operator

import (
	"fmt"
	"slices"

	"github.com/temper-ml/temper/model/arch"
)

// Engine is a training program seen from outside: which kernels it has, what it
// keeps and in which format. Each field is a documented property of the engine,
// not a number fitted to a measurement.
type Engine struct {
	Name string

	FlashAttention      bool // scores are never written to memory
	PortableAttention   bool // by a kernel that is not written for the device's own generation
	FusedCrossEntropy   bool // the loss needs no copy of the logits
	FusedNorms          bool // a norm is one kernel
	FusedActivation     bool // the gated activation is one kernel, its output is kept
	FusedRope           bool // rotations are one kernel
	Compiled            bool // pointwise operators between two products run as one kernel
	GroupedExperts      bool // local experts are one grouped product
	ExpertsNeedSequence bool // experts with TP need sequence parallelism
	Sequence            bool // has sequence parallelism beside TP
	DistributedOptim    bool // has ZeRO-1
	FSDP                bool // shards weights over data parallel ranks (ZeRO-3)

	Gradient DType // of the gradients that micro-batches accumulate into
	Weights  DType // of the weights that products read
	Master   DType // of the weights that the optimizer updates
	Moments  DType // of the optimizer's moments

	FP8Saved    bool // with fp8 products, inputs of products are kept in fp8
	FP8Dispatch bool // with fp8 products, tokens go to their experts in fp8

	CP Pattern // how context parallel ranks exchange keys and values: send-receive (ring), all-gather, all-to-all (Ulysses)

	AsyncTP    bool // messages of TP run beside the products that need them
	OverlapDP  bool // gradients are reduced and weights gathered beside the passes
	OverlapEP  bool // all-to-alls of one micro-batch run beside the products of another
	OverlapP2P bool // pipeline messages run beside the passes

	Selective     Recompute // what the engine means by selective recomputation
	Fragmentation float64   // reserved over allocated memory
}

var engines = []*Engine{
	{
		Name: "megatron", FlashAttention: true, FusedCrossEntropy: true, FusedNorms: true, FusedActivation: true, FusedRope: true,
		GroupedExperts: true, ExpertsNeedSequence: true, Sequence: true, DistributedOptim: true,
		Gradient: FP32, Weights: BF16, Master: FP32, Moments: FP32, FP8Saved: true, FP8Dispatch: true,
		CP: SendRecv, AsyncTP: true, OverlapDP: true, OverlapP2P: true, Selective: Recompute(Core), Fragmentation: 1.04,
	},
	{
		Name: "megatron-2021", FusedNorms: true, FusedActivation: true,
		Gradient: FP32, Weights: FP16, Master: FP32, Moments: FP32, Selective: Recompute(Core), Fragmentation: 1.06,
	},
	{
		Name: "mindspeed", FlashAttention: true, FusedNorms: true, FusedActivation: true, FusedRope: true,
		GroupedExperts: true, ExpertsNeedSequence: true, Sequence: true, DistributedOptim: true,
		Gradient: FP32, Weights: BF16, Master: FP32, Moments: FP32,
		CP: SendRecv, AsyncTP: true, OverlapDP: true, OverlapP2P: true, Selective: Recompute(Core), Fragmentation: 1.04,
	},
	{
		Name: "torchtitan", FlashAttention: true, PortableAttention: true, FusedNorms: true, Compiled: true, GroupedExperts: true, Sequence: true, FSDP: true,
		Gradient: FP32, Weights: BF16, Master: FP32, Moments: FP32, FP8Saved: false,
		CP: AllGather, OverlapDP: true, OverlapP2P: true, Selective: Recompute(PerOp), Fragmentation: 1.04,
	},
	{
		Name: "torchtitan-eager", FlashAttention: true, PortableAttention: true, FusedNorms: true, GroupedExperts: true, Sequence: true, FSDP: true,
		Gradient: FP32, Weights: BF16, Master: FP32, Moments: FP32,
		CP: AllGather, OverlapDP: true, OverlapP2P: true, Selective: Recompute(PerOp), Fragmentation: 1.04,
	},
	{
		Name: "temper", FlashAttention: true, FusedCrossEntropy: true, FusedNorms: true, FusedActivation: true, FusedRope: true, GroupedExperts: true,
		Gradient: FP32, Weights: FP32, Master: FP32, Moments: FP32, Selective: Recompute(Core | Activation), Fragmentation: 1,
	},
}

// Engines returns the names that [EngineNamed] knows, sorted.
func Engines() []string {
	var names []string
	for _, e := range engines {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return names
}

// EngineNamed returns a fresh copy of the engine with the given name.
func EngineNamed(name string) (*Engine, error) {
	for _, e := range engines {
		if e.Name == name {
			copied := *e
			return &copied, nil
		}
	}
	hint := ""
	if near := arch.Nearest(name, Engines()); near != "" {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return nil, fmt.Errorf("operator: no engine %q, want one of %v%s", name, Engines(), hint)
}

// refusesTP says why the engine cannot split the model's matrices, or nothing.
func (e *Engine) refusesTP(c *arch.Config) string {
	switch {
	case e.Name == "temper":
		return "temper splits no matrices"
	case c.Family == arch.V4 && e.Name != "mindspeed":
		return e.Name + " does not split the attention of deepseek_v4"
	}
	return ""
}
