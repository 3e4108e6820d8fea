package operator

import (
	"math"
	"strings"
	"testing"
)

// find returns the operators of a list with the given part.
func find(list []Operator, part string) (out []Operator) {
	for _, o := range list {
		if o.Part == part {
			out = append(out, o)
		}
	}
	return out
}

// Dispatch and combine carry tokens*k*h values each way, the busiest rank rho
// times as many, and the products of the experts grow by the same factor.
func TestImbalanceMultipliesMessagesAndProducts(t *testing.T) {
	c := builtin(t, "deepseek-v3")
	n := Numbers{MicroBatch: 1, Seq: 4096, DType: BF16, Engine: engine(t, "megatron")}
	s := Sharding{2, 1, 8, 1, true}
	even := Block(c, 10, s, n)
	n.Imbalance = 1.5
	busy := Block(c, 10, s, n)
	for _, part := range []string{"dispatch", "combine"} {
		a, b := find(even.Forward, part), find(busy.Forward, part)
		want := float64(4096/2*c.TopK*c.HiddenSize) * 2
		if len(a) != 1 || a[0].Payload != want || b[0].Payload != 1.5*want || a[0].Pattern != AllToAll || a[0].Axis != EP {
			t.Errorf("%s: %+v and %+v, want %.0f bytes and half as many again", part, a, b, want)
		}
		if a[0].Fanout != c.TopKGroups || a[0].TopK != c.TopK {
			t.Errorf("%s: at most %d nodes for %d copies, want %d for %d", part, a[0].Fanout, a[0].TopK, c.TopKGroups, c.TopK)
		}
	}
	flops := func(w *BlockWork) (sum float64) {
		for _, o := range w.Forward {
			if o.Class == GroupedProduct {
				sum += o.FLOPs
			}
		}
		return sum
	}
	if r := flops(busy) / flops(even); math.Abs(r-1.5) > 1e-6 {
		t.Errorf("products of the experts grow %.6f times, want 1.5", r)
	}
	if busy.Kept(0) <= even.Kept(0) {
		t.Error("the busiest rank keeps no more than the others")
	}
	if len(find(Block(c, 10, Sharding{2, 1, 1, 1, true}, n).Forward, "dispatch")) != 0 {
		t.Error("a single expert rank sends messages to itself")
	}
}

// With sequence parallelism every sublayer gathers and scatters the tokens of its
// TP group, and gathers its input once more for the weight's gradient; without it
// partial results and gradients are summed instead: the same bytes on the wire.
func TestMessagesOfTensorParallelRanks(t *testing.T) {
	c := builtin(t, "llama3-8b")
	n := Numbers{MicroBatch: 1, Seq: 8192, DType: BF16, Engine: engine(t, "megatron")}
	whole := float64(8192 * 4096 * 2)
	count := func(list []Operator, p Pattern) (times int) {
		for _, o := range list {
			if o.Class == Collective && o.Pattern == p {
				times++
				if o.Payload != whole || o.Axis != TP {
					t.Errorf("%s over %s carries %.0f bytes, want %.0f over tp", o.Part, o.Axis, o.Payload, whole)
				}
			}
		}
		return times
	}
	w := Block(c, 0, Sharding{4, 1, 1, 1, true}, n)
	for _, x := range []struct {
		list []Operator
		p    Pattern
		want int
	}{
		{w.Forward, AllGather, 2},
		{w.Forward, ReduceScatter, 2},
		{w.BackwardInput, AllGather, 2},
		{w.BackwardInput, ReduceScatter, 2},
		{w.BackwardWeight, AllGather, 2},
		{w.Forward, AllReduce, 0},
	} {
		if got := count(x.list, x.p); got != x.want {
			t.Errorf("%d times %s, want %d", got, x.p, x.want)
		}
	}
	w = Block(c, 0, Sharding{4, 1, 1, 1, false}, n)
	if f, b := count(w.Forward, AllReduce), count(w.BackwardInput, AllReduce); f != 2 || b != 2 {
		t.Errorf("without sequence parallelism %d sums forward and %d backward, want 2 and 2", f, b)
	}
}

// A ring passes keys and values of all other ranks on, and in the backward pass
// their gradients as well; an all-gather brings them together.
func TestMessagesOfContextParallelRanks(t *testing.T) {
	c := builtin(t, "llama3-8b")
	kv := float64(32768/4*2*8*128) * 2
	for name, want := range map[string]struct {
		p                 Pattern
		forward, backward float64
	}{
		"megatron":   {SendRecv, 3 * kv, 6 * kv},
		"torchtitan": {AllGather, 4 * kv, 4 * kv},
	} {
		w := Block(c, 0, Sharding{1, 4, 1, 1, false}, Numbers{MicroBatch: 1, Seq: 32768, DType: BF16, Engine: engine(t, name)})
		f, b := find(w.Forward, "keys"), find(w.BackwardInput, "keys")
		if len(f) != 1 || len(b) != 1 || f[0].Pattern != want.p || f[0].Payload != want.forward || b[0].Payload != want.backward {
			t.Errorf("%s: %+v and %+v, want %.0f and %.0f bytes", name, f, b, want.forward, want.backward)
		}
	}
}

// In fp8 the operands of products are scaled by kernels of their own, inputs are
// kept in one byte where the engine does so, and head and router stay as they are.
func TestQuantisedProducts(t *testing.T) {
	c := builtin(t, "deepseek-v3")
	n := Numbers{MicroBatch: 1, Seq: 4096, DType: FP8, Engine: engine(t, "megatron")}
	s := Sharding{1, 1, 8, 1, false}
	w := Block(c, 10, s, n)
	n.DType = BF16
	plain := Block(c, 10, s, n)
	if len(find(w.Forward, "quantise")) == 0 || len(find(plain.Forward, "quantise")) != 0 {
		t.Error("operands are quantised where they should not be, or not where they should")
	}
	if w.Kept(0) >= plain.Kept(0) {
		t.Errorf("fp8 keeps %d bytes, bf16 %d", w.Kept(0), plain.Kept(0))
	}
	n.DType = FP8
	for _, o := range append(Head(c, s, n).Forward, w.Forward...) {
		want := FP8
		switch {
		case o.Class != Product && o.Class != GroupedProduct:
			continue
		case o.Name == "head":
			want = BF16
		case o.Name == "router":
			want = FP32
		}
		if o.DType != want {
			t.Errorf("%s runs in %s, want %s", o.Name, o.DType, want)
		}
	}
	var p Parameters
	p = p.Add(w.Parameters)
	if p.Quantised <= p.Expert || p.Quantised >= p.Total() {
		t.Errorf("%d of %d values have fp8 copies", p.Quantised, p.Total())
	}
	n.Scaling = "tensorwise" // weights are stored in fp8: no copies beside them
	if got := Block(c, 10, s, n).Parameters.Quantised; got != 0 {
		t.Errorf("%d values have fp8 copies although weights are stored in fp8", got)
	}
}

// Every refusal names the field, the value and what would be legal.
func TestShardingsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, tc := range []struct {
		model, engine string
		s             Sharding
		change        func(*Numbers)
		want          string
	}{
		{"llama3-8b", "megatron", Sharding{0, 1, 1, 1, false}, nil, "tp is 0"},
		{"llama3-8b", "megatron", Sharding{3, 1, 1, 1, false}, nil, "num_attention_heads = 32: nearest legal value 2"},
		{"llama3-8b", "megatron", Sharding{16, 1, 1, 1, true}, nil, "num_key_value_heads = 8: nearest legal value 8"},
		{"llama3-8b", "megatron", Sharding{1, 3, 1, 1, false}, nil, "nearest legal value 4098"},
		{"llama3-8b", "megatron", Sharding{1, 1, 2, 1, false}, nil, "has no experts"},
		{"llama3-8b", "megatron-2021", Sharding{2, 1, 1, 1, true}, nil, "the engine has none"},
		{"deepseek-v3", "megatron", Sharding{1, 1, 24, 1, false}, nil, "n_routed_experts = 256: nearest legal value 16"},
		{"deepseek-v3", "megatron", Sharding{1, 1, 8, 3, false}, nil, "moe_intermediate_size = 2048: nearest legal value 2"},
		{"deepseek-v3", "megatron", Sharding{2, 1, 8, 1, false}, nil, "without sequence parallelism"},
		{"deepseek-v4-flash", "megatron", Sharding{2, 1, 8, 1, true}, nil, "does not split the attention"},
		{"tiny-v4", "temper", Sharding{2, 1, 1, 1, false}, nil, "splits no matrices"},
		{"llama3-8b", "megatron", Sharding{1, 1, 1, 1, false}, func(n *Numbers) { n.MicroBatch = 1 << 20 }, "more than"},
		{"gpt-22b", "megatron-2021", Sharding{1, 1, 1, 1, false}, func(n *Numbers) { n.Seq = 1 << 20 }, "attention scores of one rank take"},
		{"llama3-8b", "megatron", Sharding{1, 1, 1, 1, false}, func(n *Numbers) { n.Seq = 1 << 40 }, "seq is"},
		{"llama3-8b", "megatron", Sharding{1, 1, 1, 1, false}, func(n *Numbers) { n.DType = "int3" }, `dtype is "int3"`},
		{"llama3-8b", "megatron", Sharding{1, 1, 1, 1, false}, func(n *Numbers) { n.Imbalance = 0.5 }, "imbalance is 0.5"},
		{"llama3-8b", "megatron", Sharding{1, 1, 1, 1, false}, func(n *Numbers) { n.Imbalance = math.NaN() }, "imbalance is NaN"},
		{"llama3-8b", "megatron", Sharding{1, 1, 1, 1, false}, func(n *Numbers) { n.Engine = nil }, "no engine"},
	} {
		n := Numbers{MicroBatch: 1, Seq: 4096, DType: BF16, Engine: engine(t, tc.engine)}
		if tc.change != nil {
			tc.change(&n)
		}
		_, err := NewWorks(builtin(t, tc.model), tc.s, n)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s %+v: error %v, want one with %q", tc.model, tc.s, err, tc.want)
		}
	}
}

func TestNamesOfEnginesAndModules(t *testing.T) {
	if _, err := EngineNamed("megatrom"); err == nil || !strings.Contains(err.Error(), `did you mean "megatron"`) {
		t.Errorf("error %v, want a hint", err)
	}
	e := engine(t, "torchtitan")
	for text, want := range map[string]string{
		"none": "none", "": "none", "selective": "per_op", "full": "full", "moe_act+layernorm": "layernorm+act", "mla_up_proj+mhc": "mla_up_proj+mhc",
	} {
		r, err := ParseRecompute(text, e)
		if err != nil || r.String() != want {
			t.Errorf("%q reads as %s, %v, want %s", text, r, err, want)
		}
		if again, err := ParseRecompute(r.String(), e); err != nil || again != r {
			t.Errorf("%s does not read back: %v", r, err)
		}
	}
	if _, err := ParseRecompute("moe+everything", e); err == nil || !strings.Contains(err.Error(), "core_attn") {
		t.Errorf("error %v, want one that lists the modules", err)
	}
	a, b := engine(t, "megatron"), engine(t, "megatron")
	a.Weights = FP32
	if b.Weights != BF16 {
		t.Error("engines with one name share their fields")
	}
}
