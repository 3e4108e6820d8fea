package operator

import (
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/model/arch"
)

// Engine is a training program seen from outside: which kernels it has, what it
// keeps and in which format. Each field is a documented property of the engine,
// not a number fitted to a measurement.
type Engine struct {
	Name string

	FlashAttention      bool // scores are never written to memory
	PortableAttention   bool // by a kernel that is not written for the device's own generation
	FusedCrossEntropy   bool // the loss is one kernel over the logits
	FusedNorms          bool // a norm is one kernel
	FusedActivation     bool // the gated activation is one kernel
	FusedRope           bool // rotations are one kernel
	Compiled            bool // pointwise operators between two products run as one kernel
	GroupedExperts      bool // local experts are one grouped product
	FusedGradients      bool // products add weight gradients in place; autograd gets a placeholder of each weight's shape, kept for ever
	CombineInside       bool // routing weights are applied inside the experts, so their outputs are not kept
	StopsEarly          bool // recomputing a block ends with the last tensor that its backward pass needs
	KeepsGathered       bool // what TP gathered in the forward pass is kept; else it is gathered again for gradients of weights
	MergedDispatch      bool // a token goes once to each node that it has experts on, and is spread there (DeepEP, HybridEP); else each copy travels alone
	ExpertsNeedSequence bool // experts with TP need sequence parallelism
	Sequence            bool // has sequence parallelism beside TP
	DistributedOptim    bool // has ZeRO-1
	FSDP                bool // shards weights over data parallel ranks (ZeRO-3); products read gathered copies of the master weights
	EagerMessages       bool // a pipeline holds a receive buffer for each micro-batch, both ways, and what it sent

	LossBytes   float64 // per logit, alive at the worst moment of the loss, logits included
	LossBytesTP float64 // the same when TP divides the vocabulary

	Gradient DType // of the gradients that micro-batches accumulate into
	Weights  DType // of the weights that products read, and of activations
	Master   DType // of the weights that the optimizer updates
	Moments  DType // of the optimizer's moments

	HalfGradients bool // with fp16 products gradients accumulate in fp16
	ReuseMaster   bool // the weights that products read are the upper halves of the master weights: no copy
	FP8Saved      bool // with fp8 products, inputs of products are kept in fp8
	FP8Gather     bool // with fp8 products scaled per tensor, all-gathers of TP carry fp8
	FP8Dispatch   bool // with fp8 products, tokens go to their experts in fp8

	CP Pattern // how context parallel ranks exchange keys and values: send-receive (a ring) or all-gather

	AsyncTP    bool // messages of TP are cut up and run inside the products that need them, in both passes
	OverlapTP  bool // messages of TP in the backward pass run beside the other gradient's product
	OverlapDP  bool // gradients are reduced and weights gathered beside the passes
	OverlapEP  bool // all-to-alls of one micro-batch run beside the products of another
	Interleave bool // the same in schedules without pairs, where tokens leave their machine: steps of 1f1b run a forward beside another micro-batch's backward
	OverlapP2P bool // pipeline messages run beside the passes

	Selective     Recompute // what the engine means by selective recomputation
	FP8Copies     float64   // with fp8 products, bytes per weight for copies in both orientations that stay beside the weights
	Libraries     int64     // bytes that product and attention libraries allocate once for their own use
	Fragmentation float64   // reserved over allocated memory
	Runtime       int64     // bytes outside the allocator: the device's context, the collective library
}

const mib = 1 << 20

// engines is the table. Reasons for the figures are in docs/planning-memory.md.
var engines = []Engine{
	{
		Name:           "megatron", // Megatron-core with Transformer Engine
		FlashAttention: true, FusedCrossEntropy: true, FusedNorms: true, FusedActivation: true, FusedRope: true,
		GroupedExperts: true, MergedDispatch: true, FusedGradients: true, CombineInside: true, ExpertsNeedSequence: true, Sequence: true, DistributedOptim: true,
		LossBytes: 4, LossBytesTP: 4,
		Gradient: FP32, Weights: BF16, Master: FP32, Moments: FP32, FP8Saved: true, FP8Gather: true, FP8Dispatch: false,
		CP: SendRecv, OverlapTP: true, OverlapDP: true, OverlapP2P: true, Interleave: true,
		Selective: Recompute(Core), FP8Copies: 2, Libraries: 64 * mib, Fragmentation: 1.04, Runtime: 1536 * mib,
	},
	{
		Name:       "megatron-2021", // Megatron-LM of the A100 papers: no flash attention, no sequence parallelism
		FusedNorms: true, FusedActivation: true, HalfGradients: true,
		LossBytes: 6, LossBytesTP: 6,
		Gradient: FP32, Weights: FP16, Master: FP32, Moments: FP32,
		Selective: Recompute(Core), Libraries: 32 * mib, Fragmentation: 1.06, Runtime: 1024 * mib,
	},
	{
		Name:       "megatron-2022", // the same with sequence parallelism and recomputed attention scores, before flash attention
		FusedNorms: true, FusedActivation: true, HalfGradients: true, Sequence: true,
		LossBytes: 6, LossBytesTP: 6,
		Gradient: FP32, Weights: FP16, Master: FP32, Moments: FP32,
		Selective: Recompute(Core), Libraries: 32 * mib, Fragmentation: 1.06, Runtime: 1024 * mib,
	},
	{
		Name:           "mindspeed", // MindSpeed-LLM on Ascend
		FlashAttention: true, FusedNorms: true, FusedActivation: true, FusedRope: true,
		GroupedExperts: true, CombineInside: true, ExpertsNeedSequence: true, Sequence: true, DistributedOptim: true,
		LossBytes: 6, LossBytesTP: 6,
		Gradient: FP32, Weights: BF16, Master: FP32, Moments: FP32,
		CP: SendRecv, OverlapTP: true, OverlapDP: true, OverlapP2P: true,
		Selective: Recompute(Core), Libraries: 64 * mib, Fragmentation: 1.04, Runtime: 2048 * mib,
	},
	{
		Name:           "hai-llm", // as the report of DeepSeek-V3 describes its training
		FlashAttention: true, FusedCrossEntropy: true, FusedNorms: true, FusedActivation: true, FusedRope: true,
		GroupedExperts: true, MergedDispatch: true, FusedGradients: true, CombineInside: true, DistributedOptim: true,
		LossBytes: 4, LossBytesTP: 4,
		Gradient: FP32, Weights: BF16, Master: FP32, Moments: BF16, FP8Saved: true, FP8Dispatch: true,
		CP: SendRecv, OverlapDP: true, OverlapEP: true, OverlapP2P: true,
		Selective: Recompute(Norms | Up | Activation), FP8Copies: 2, Libraries: 64 * mib, Fragmentation: 1.04, Runtime: 1536 * mib,
	},
	{
		Name:           "torchtitan", // FSDP2, blocks and loss compiled
		FlashAttention: true, StopsEarly: true, KeepsGathered: true, FP8Gather: true, PortableAttention: true, FusedNorms: true, Compiled: true, GroupedExperts: true, Sequence: true, FSDP: true, EagerMessages: true,
		LossBytes: 6, LossBytesTP: 6,
		Gradient: FP32, Weights: BF16, Master: FP32, Moments: FP32,
		CP: AllGather, OverlapDP: true, OverlapP2P: true,
		Selective: Recompute(PerOp), Libraries: 64 * mib, Fragmentation: 1.04, Runtime: 1536 * mib,
	},
	{
		Name:           "torchtitan-2024", // FSDP2 as of 2024: blocks compiled, the loss not
		FlashAttention: true, StopsEarly: true, KeepsGathered: true, FP8Gather: true, PortableAttention: true, FusedNorms: true, Compiled: true, GroupedExperts: true, Sequence: true, FSDP: true, EagerMessages: true,
		LossBytes: 14, LossBytesTP: 18,
		Gradient: FP32, Weights: BF16, Master: FP32, Moments: FP32,
		CP: AllGather, OverlapDP: true, OverlapP2P: true,
		Selective: Recompute(PerOp), Libraries: 64 * mib, Fragmentation: 1.04, Runtime: 1536 * mib,
	},
	{
		Name:           "torchtitan-eager", // FSDP2, nothing compiled
		FlashAttention: true, StopsEarly: true, KeepsGathered: true, FP8Gather: true, PortableAttention: true, GroupedExperts: true, Sequence: true, FSDP: true, EagerMessages: true,
		LossBytes: 14, LossBytesTP: 18,
		Gradient: FP32, Weights: BF16, Master: FP32, Moments: FP32,
		CP: AllGather, OverlapDP: true, OverlapP2P: true,
		Selective: Recompute(PerOp), Libraries: 64 * mib, Fragmentation: 1.04, Runtime: 1536 * mib,
	},
	{
		Name:           "temper", // this program, float32 on CPU
		FlashAttention: true, FusedCrossEntropy: true, FusedNorms: true, FusedActivation: true, FusedRope: true, GroupedExperts: true,
		CombineInside: true, LossBytes: 4, LossBytesTP: 4,
		Gradient: FP32, Weights: FP32, Master: FP32, Moments: FP32, ReuseMaster: true,
		CP: AllGather, Selective: Recompute(Attend | Norms | Dense | Shared | Experts), Fragmentation: 1, Runtime: 40 * mib,
	},
}

// Engines returns the names that [EngineNamed] knows, sorted.
func Engines() []string {
	var names []string
	for i := range engines {
		names = append(names, engines[i].Name)
	}
	slices.Sort(names)
	return names
}

// EngineNamed returns a fresh copy of the engine with the given name, which may be
// followed by options: "megatron+bf16-gradients+bf16-moments", see [Options].
func EngineNamed(name string) (*Engine, error) {
	base, rest, more := strings.Cut(name, "+")
	for _, e := range engines {
		if e.Name != base {
			continue
		}
		for more {
			var option string
			option, rest, more = strings.Cut(rest, "+")
			if err := e.apply(option); err != nil {
				return nil, err
			}
		}
		return &e, nil
	}
	hint := ""
	if near := arch.Nearest(base, Engines()); near != "" {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return nil, fmt.Errorf("operator: no engine %q, want one of %v%s", base, Engines(), hint)
}

// widestV4 is over how many ranks MindSpeed splits the attention of DeepSeek-V4.
const widestV4 = 2

// refusesTP says why the engine cannot split the model's matrices over so many
// ranks, and the nearest number over which it can, or nothing.
func (e *Engine) refusesTP(c *arch.Config, tp int) (why string, nearest int) {
	switch {
	case e.Base() == "temper" || e.Base() == "hai-llm":
		return e.Base() + " splits no matrices", 1
	case c.Family == arch.V4 && e.Base() != "mindspeed":
		return e.Base() + " does not split the attention of deepseek_v4", 1
	case c.Family == arch.V4 && tp > widestV4:
		return fmt.Sprintf("%s splits the attention of deepseek_v4 over at most %d ranks", e.Base(), widestV4), widestV4
	}
	return "", 0
}
