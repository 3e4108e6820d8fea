"""Makes tiny-v4/ and tiny-v3/: models, inputs and true results computed by PyTorch with the classes of transformers.

    python -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
    venv/bin/python make_goldens.py            # writes next to itself; takes a few seconds on one core

Each directory holds config.json and model.safetensors in the published form (float32), and golden.safetensors:

    tokens, labels, mtp_labels   int64 [T]       inputs; -1 = not supervised
    segments                     int64 [N, 2]    each is computed as a sequence of its own
    losses                       float64 [4]     sums: lm, mtp, balance, indexer
    logits                       float64 [T, V]
    mtp_logits                   float64 [T-N, V] without each segment's last position, which has no next token
    gradient.<loss>              float64 [P, 12] gradient of that sum for each tensor, in the order of the list "tensors" in the metadata

A row of gradient.<loss> is (root of the sum of squares, three signed sums, eight samples): see probe() below. Eleven numbers
tied to all elements and eight elements in full catch any error in a tensor at a hundredth of its size.

Everything runs in float64. transformers asks for float32 in many places (norms, softmax, rotary tables, routers); `float64_only`
replaces the name float32 inside its modules by float64, and a dispatch mode refuses any operation that yields float32.

What transformers does not compute is composed here from its own classes and plain autograd, and marked COMPOSED: the MTP block,
the indexer's loss, the sequence-wise balance loss. Where it decides differently from the published inference code it is patched,
and marked PATCHED. docs/parity.md explains each.
"""

import copy
import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
import transformers
from transformers import modeling_rope_utils
from transformers.modeling_layers import MtpLayer
from transformers.models.deepseek_v3 import configuration_deepseek_v3, modeling_deepseek_v3
from transformers.models.deepseek_v4 import configuration_deepseek_v4, modeling_deepseek_v4

HERE = pathlib.Path(__file__).parent
LOSSES = ["lm", "mtp", "balance", "indexer"]


# ---------------------------------------------------------------- float64 and ties


class Float64Torch:
    """The torch module with float32 meaning float64 and top-k ties going to the lower index (PATCHED)."""

    float32 = float = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)

    @staticmethod
    def topk(x, k, dim=-1, sorted=True):
        return lower_index_topk(x, k, dim)


def lower_index_topk(x, k, dim=-1, largest=True, sorted=True):
    values, indices = torch.sort(x, dim=dim, descending=True, stable=True)
    return torch.return_types.topk((values.narrow(dim, 0, k), indices.narrow(dim, 0, k)))


def float64_only():
    for module in (modeling_deepseek_v4, modeling_deepseek_v3, modeling_rope_utils):
        module.torch = Float64Torch()
    torch.Tensor.float = torch.Tensor.double
    torch.Tensor.topk = lower_index_topk


class NoFloat32(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(x, torch.Tensor) and x.dtype in (torch.float32, torch.float16, torch.bfloat16):
                raise AssertionError(f"{func} yields {x.dtype}")
        return out


# ---------------------------------------------------------------- models

V4 = {
    "architectures": ["DeepseekV4ForCausalLM"], "model_type": "deepseek_v4", "vocab_size": 29, "hidden_size": 16,
    "num_hidden_layers": 4, "num_nextn_predict_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 1,
    "head_dim": 12, "qk_rope_head_dim": 8, "q_lora_rank": 10, "o_groups": 2, "o_lora_rank": 6, "sliding_window": 6,
    "compress_ratios": [0, 4, 8, 4, 0], "index_n_heads": 4, "index_head_dim": 16, "index_topk": 3,
    "n_routed_experts": 6, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 8,
    "scoring_func": "sqrtsoftplus", "topk_method": "noaux_tc", "norm_topk_prob": True, "routed_scaling_factor": 1.5,
    "num_hash_layers": 2, "swiglu_limit": 1.5, "hc_mult": 4, "hc_sinkhorn_iters": 20, "hc_eps": 1e-6,
    "rope_theta": 100.0, "compress_rope_theta": 400.0,
    "rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 64, "beta_fast": 8, "beta_slow": 1},
    "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "hidden_act": "silu", "attention_bias": False,
    "attention_dropout": 0.0, "tie_word_embeddings": False, "initializer_range": 0.02, "bos_token_id": 0,
    "eos_token_id": 1, "torch_dtype": "float32",
}

V3 = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "vocab_size": 29, "hidden_size": 16,
    "num_hidden_layers": 3, "num_nextn_predict_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 4,
    "qk_rope_head_dim": 4, "qk_nope_head_dim": 6, "v_head_dim": 5, "q_lora_rank": 10, "kv_lora_rank": 7,
    "intermediate_size": 20, "first_k_dense_replace": 1, "n_routed_experts": 8, "n_shared_experts": 1,
    "num_experts_per_tok": 3, "n_group": 4, "topk_group": 2, "moe_intermediate_size": 8, "scoring_func": "sigmoid",
    "topk_method": "noaux_tc", "norm_topk_prob": True, "routed_scaling_factor": 2.5, "rope_theta": 100.0,
    "rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 64, "beta_fast": 8, "beta_slow": 1,
                     "mscale": 1.0, "mscale_all_dim": 1.0},
    "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "hidden_act": "silu", "attention_bias": False,
    "attention_dropout": 0.0, "tie_word_embeddings": False, "initializer_range": 0.02, "bos_token_id": 0,
    "eos_token_id": 1, "torch_dtype": "float32",
}


def hf_config(c):
    """The transformers configuration of a published one. compress_ratios other than 0, 4 and 128 have no spelling there that
    config.json could carry, so the layer types are given."""
    rest = {k: v for k, v in c.items() if k not in ("architectures", "model_type", "torch_dtype", "rope_scaling", "compress_ratios",
                                                    "topk_method", "num_hash_layers", "scoring_func")}
    rope = dict(c["rope_scaling"], rope_type="yarn")
    rope.pop("type")
    if c["model_type"] == "deepseek_v3":
        rope["rope_theta"] = c["rope_theta"]
        return configuration_deepseek_v3.DeepseekV3Config(**rest, rope_parameters=rope, attn_implementation="eager",
                                                          experts_implementation="eager")
    kinds = {0: "sliding_attention", 4: "compressed_sparse_attention", 8: "heavily_compressed_attention"}
    n = c["num_hidden_layers"]
    return configuration_deepseek_v4.DeepseekV4Config(
        **rest, scoring_func=c["scoring_func"], rope_parameters=rope,
        layer_types=[kinds[r] for r in c["compress_ratios"][:n]],
        compress_rates={"compressed_sparse_attention": 4, "heavily_compressed_attention": 8},
        mlp_layer_types=["hash_moe"] * c["num_hash_layers"] + ["moe"] * (n - c["num_hash_layers"]),
        attn_implementation="eager", experts_implementation="eager")


# ---------------------------------------------------------------- names: published -> transformers


def v4_names(c):
    """published name -> (module path, index or None). Index (e, lo, hi) selects rows lo..hi of expert e."""
    names = {"embed.weight": ("model.embed_tokens.weight", None), "norm.weight": ("model.norm.weight", None),
             "head.weight": ("lm_head.weight", None)}
    for part in ("fn", "base", "scale"):
        names[f"hc_head_{part}"] = (f"model.hc_head.hc_{part}", None)
    for i in range(c["num_hidden_layers"]):
        names |= v4_block(c, f"layers.{i}.", f"model.layers.{i}.", c["compress_ratios"][i], i < c["num_hash_layers"])
    names |= v4_block(c, "mtp.0.", "mtp.block.", 0, False)
    for part in ("e_proj", "h_proj", "enorm", "hnorm", "norm"):
        names[f"mtp.0.{part}.weight"] = (f"mtp.{part}.weight", None)
    for part in ("fn", "base", "scale"):
        names[f"mtp.0.hc_head_{part}"] = (f"mtp.hc_head.hc_{part}", None)
    return names


def v4_block(c, a, b, ratio, hashed):
    names = {}
    for site in ("attn", "ffn"):
        for part in ("fn", "base", "scale"):
            names[f"hc_{site}_{part}"] = f"{site}_hc.{part}"
    names |= {"attn_norm.weight": "input_layernorm.weight", "ffn_norm.weight": "post_attention_layernorm.weight"}
    attn = {"wq_a": "q_a_proj", "q_norm": "q_a_norm", "wq_b": "q_b_proj", "wkv": "kv_proj", "kv_norm": "kv_norm",
            "wo_a": "o_a_proj", "wo_b": "o_b_proj"}
    names |= {f"attn.{p}.weight": f"self_attn.{q}.weight" for p, q in attn.items()}
    names["attn.attn_sink"] = "self_attn.sinks"

    def compressor(p, q):
        return {f"{p}.ape": f"{q}.position_bias", f"{p}.wkv.weight": f"{q}.kv_proj.weight",
                f"{p}.wgate.weight": f"{q}.gate_proj.weight", f"{p}.norm.weight": f"{q}.kv_norm.weight"}

    if ratio:
        names |= compressor("attn.compressor", "self_attn.compressor")
    if ratio == 4:
        names |= compressor("attn.indexer.compressor", "self_attn.compressor.indexer")
        names["attn.indexer.wq_b.weight"] = "self_attn.compressor.indexer.q_b_proj.weight"
        names["attn.indexer.weights_proj.weight"] = "self_attn.compressor.indexer.scorer.weights_proj.weight"
    names["ffn.gate.weight"] = "mlp.gate.weight"
    names["ffn.gate.tid2eid" if hashed else "ffn.gate.bias"] = "mlp.gate.tid2eid" if hashed else "mlp.gate.e_score_correction_bias"
    out = {a + p: (b + q, None) for p, q in names.items()}
    return out | experts(c, a + "ffn.", b + "mlp.", ("w1", "w3", "w2"))


def experts(c, a, b, parts):
    f, out = c["moe_intermediate_size"], {}
    for e in range(c["n_routed_experts"]):
        out[f"{a}experts.{e}.{parts[0]}.weight"] = (b + "experts.gate_up_proj", (e, 0, f))
        out[f"{a}experts.{e}.{parts[1]}.weight"] = (b + "experts.gate_up_proj", (e, f, 2 * f))
        out[f"{a}experts.{e}.{parts[2]}.weight"] = (b + "experts.down_proj", (e, 0, None))
    for p, q in zip(parts, ("gate_proj", "up_proj", "down_proj")):
        out[f"{a}shared_experts.{p}.weight"] = (f"{b}shared_experts.{q}.weight", None)
    return out


def v3_names(c):
    names = {k: (k, None) for k in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")}
    n = c["num_hidden_layers"]
    for i in range(n + 1):
        a, b = f"model.layers.{i}.", "mtp.mtp_block." if i == n else f"model.layers.{i}."
        for p in ("input_layernorm", "post_attention_layernorm", "self_attn.q_a_proj", "self_attn.q_a_layernorm", "self_attn.q_b_proj",
                  "self_attn.kv_a_proj_with_mqa", "self_attn.kv_a_layernorm", "self_attn.kv_b_proj", "self_attn.o_proj"):
            names[a + p + ".weight"] = (b + p + ".weight", None)
        if i < c["first_k_dense_replace"]:
            for p in ("gate_proj", "up_proj", "down_proj"):
                names[f"{a}mlp.{p}.weight"] = (f"{b}mlp.{p}.weight", None)
            continue
        names[a + "mlp.gate.weight"] = (b + "mlp.gate.weight", None)
        names[a + "mlp.gate.e_score_correction_bias"] = (b + "mlp.gate.e_score_correction_bias", None)
        names |= experts(c, a + "mlp.", b + "mlp.", ("gate_proj", "up_proj", "down_proj"))
    for p, q in {"enorm": "enorm", "hnorm": "hnorm", "eh_proj": "eh_proj", "shared_head.norm": "post_norm"}.items():
        names[f"model.layers.{n}.{p}.weight"] = (f"mtp.{q}.weight", None)
    return names


def locate(model, where):
    path, index = where
    x = model.get_parameter(path) if path in dict(model.named_parameters()) else model.get_buffer(path)
    return x, index


def part(x, index):
    return x if index is None else x[index[0], index[1]:index[2]]


# ---------------------------------------------------------------- weights


def weights(c, model, names, seed):
    """Draws every tensor in the order of names, at a scale that keeps activations near 1 and every term alive."""
    rng, out = np.random.default_rng(seed), {}
    for name, where in names.items():
        shape = part(*locate(model, where)).shape
        if name.endswith("tid2eid"):
            rows = [rng.permutation(c["n_routed_experts"])[:c["num_experts_per_tok"]] for _ in range(shape[0])]
            out[name] = torch.tensor(np.array(rows), dtype=torch.int64)
            continue
        mean, std = 0.0, 1 / math.sqrt(shape[-1])
        if "norm" in name:
            mean, std = 1.0, 0.2
        elif name.endswith("bias"):
            std = 0.1
        elif name.endswith("_scale"):
            mean, std = 0.5, 0.1
        elif len(shape) == 1 or name.endswith("ape"):
            std = 0.5
        elif "embed" in name:
            std = 1.0
        out[name] = torch.tensor(mean + std * rng.standard_normal(shape), dtype=torch.float32)
    return out


# ---------------------------------------------------------------- what transformers does not compute


class MTPV4(nn.Module):
    """COMPOSED: V4's extra block from transformers' own decoder layer, head and norms (section 2.6)."""

    def __init__(self, config):
        super().__init__()
        config = copy.deepcopy(config)
        layer = config.num_hidden_layers
        config.num_hidden_layers += 1
        config.layer_types = config.layer_types + ["sliding_attention"]
        config.mlp_layer_types = config.mlp_layer_types + ["moe"]
        d, eps, norm = config.hidden_size, config.rms_norm_eps, modeling_deepseek_v4.DeepseekV4RMSNorm
        self.e_proj, self.h_proj = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.enorm, self.hnorm, self.norm = norm(d, eps), norm(d, eps), norm(d, eps)
        self.block = modeling_deepseek_v4.DeepseekV4DecoderLayer(config, layer)
        self.hc_head = modeling_deepseek_v4.DeepseekV4HyperHead(config)

    def forward(self, next_embeds, streams, kwargs):
        x = self.e_proj(self.enorm(next_embeds)).unsqueeze(2) + self.h_proj(self.hnorm(streams))
        return self.norm(self.hc_head(self.block(x, **kwargs)))


class Recorder:
    """Keeps, per forward pass, what the composed losses need."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.routers, self.scores, self.attention, self.layer = [], [], [], None

    def watch(self, model):
        for module in model.modules():
            kind = type(module).__name__
            if kind in ("DeepseekV4TopKRouter", "DeepseekV3TopkRouter"):
                module.register_forward_hook(lambda m, a, out: self.routers.append((m, out[0], out[2])))
            elif kind == "DeepseekV4Indexer":
                # COMPOSED: the indexer sees the trunk detached, so that its loss trains nothing else.
                module.register_forward_pre_hook(lambda m, a: (a[0].detach(), a[1].detach()) + a[2:])
                module.register_forward_hook(lambda m, a, out: self.scores[-1].append(out))
            elif kind == "DeepseekV4IndexerScorer":
                module.register_forward_hook(lambda m, a, out: self.scores.append([out]))
            elif kind == "DeepseekV4Attention" and module.layer_type == "compressed_sparse_attention":
                module.register_forward_hook(lambda m, a, out: self.attention.append(out[1].detach()))

    def balance(self, top_k):
        """COMPOSED: sum over learned routers of sum_e f_e P_e, f_e = E/(K T) count_e, P_e = mean_t s_te / sum_j s_tj."""
        total = torch.zeros((), dtype=torch.float64)
        for router, logits, indices in self.routers:
            s = torch.sigmoid(logits) if "V3" in type(router).__name__ else F.softplus(logits).sqrt()
            t, e = s.shape
            count = F.one_hot(indices, e).sum(dim=(0, 1)).double()
            total = total + (count * e / (top_k * t) * (s / s.sum(-1, keepdim=True)).mean(0)).sum()
        return total

    def indexer(self):
        """COMPOSED: sum over tokens of KL(p || softmax(I)) on the selected entries (section 4.7)."""
        total = torch.zeros((), dtype=torch.float64)
        for (scores, picks), attention in zip(self.scores, self.attention, strict=True):
            entries = scores.shape[-1]
            p = attention[0, :, :, attention.shape[-1] - entries:].sum(0)
            for t in range(scores.shape[1]):
                at = picks[0, t][picks[0, t] >= 0]
                if len(at):
                    target = p[t, at] / p[t, at].sum()
                    total = total + F.kl_div(torch.log_softmax(scores[0, t, at], 0), target, reduction="sum")
        return total


# ---------------------------------------------------------------- running


def evaluate(c, model, mtp, recorder, tokens):
    """One sequence: logits [T, V], MTP logits [T-1, V], balance and indexer sums."""
    recorder.clear()
    layers, seen = model.model.layers, {}

    def keep(module, args, kwargs, out):
        seen["kwargs"] = {k: v for k, v in kwargs.items() if k != "past_key_values"}
        seen["x"] = out

    hook = layers[-1].register_forward_hook(keep, with_kwargs=True)
    ids = tokens[None]
    h = model.model(input_ids=ids, use_cache=False).last_hidden_state
    hook.remove()
    # The MTP block runs on positions 0..T-2: row i joins the state at i with the embedding of token i+1.
    embeds = model.model.embed_tokens(ids[:, 1:])
    n = embeds.shape[1]
    at = {k: seen["kwargs"].get(k) for k in ("position_embeddings", "position_ids", "attention_mask")}
    cut = {"position_ids": at["position_ids"][:, :n] if at["position_ids"] is not None else None,
           "attention_mask": at["attention_mask"][..., :n, :n]}
    if c["model_type"] == "deepseek_v4":
        cut["position_embeddings"] = {k: tuple(x[:, :n] for x in v) for k, v in at["position_embeddings"].items()}
        y = mtp(embeds, seen["x"][:, :n], cut)
    else:  # transformers' MtpLayer is given hidden_states[-1], which is the state after the final norm
        cut["position_embeddings"] = tuple(x[:, :n] for x in at["position_embeddings"])
        y = mtp(embeds, h[:, :n], past_key_values=None, **cut)
    return model.lm_head(h)[0], model.lm_head(y)[0], recorder.balance(c["num_experts_per_tok"]), recorder.indexer()


def probe(g):
    """Norm, three sums with signs from a multiplicative generator, eight samples."""
    g = g.reshape(-1).double()
    n, i = g.numel(), torch.arange(1, g.numel() + 1, dtype=torch.int64)
    row = [g.square().sum().sqrt()]
    for m in (2654435761, 2246822519, 3266489917):
        row.append((g * (1 - 2 * ((i * m) >> 15 & 1))).sum())
    row += [g[(k * n) // 8] for k in range(8)]
    return torch.stack(row)


def build(c, directory=None):
    """A transformers model with its MTP block, and the table of names. From a directory of published files transformers loads
    by its own conversion rules, and our table of names only checks the result."""
    config = hf_config(c)
    v4 = c["model_type"] == "deepseek_v4"
    modeling = modeling_deepseek_v4 if v4 else modeling_deepseek_v3
    cls = modeling.DeepseekV4ForCausalLM if v4 else modeling.DeepseekV3ForCausalLM
    model = cls.from_pretrained(directory, config=config, dtype=torch.float64) if directory else cls(config)
    model.mtp = MTPV4(config) if v4 else MtpLayer(config, modeling.DeepseekV3DecoderLayer, modeling.DeepseekV3RMSNorm,
                                                  c["num_hidden_layers"])
    model.double()
    names = v4_names(c) if v4 else v3_names(c)
    if directory:
        tensors = load_file(directory / "model.safetensors")
        with torch.no_grad():
            for published, where in names.items():
                x, index = locate(model, where)
                if where[0].startswith("mtp."):
                    part(x, index).copy_(tensors[published])
                assert torch.equal(part(x, index).double(), tensors[published].double()), published
        missing = {n for n, _ in model.named_parameters()} - {w[0] for w in names.values()}
        assert not missing, missing
    return model, names


def make(name, c, seed, lengths):
    out = HERE / name
    out.mkdir(exist_ok=True)
    (out / "config.json").write_text(json.dumps(c, indent=2) + "\n")
    save_file(weights(c, *build(c), seed), out / "model.safetensors", metadata={"format": "pt"})
    model, names = build(c, out)

    rng = np.random.default_rng(seed + 1)
    t = sum(lengths)
    tokens = torch.tensor(rng.integers(0, c["vocab_size"], t))
    labels, mtp_labels, segments, at = torch.full((t,), -1), torch.full((t,), -1), [], 0
    for n in lengths:
        segments.append([at, at + n])
        labels[at:at + n - 1], mtp_labels[at:at + n - 2] = tokens[at + 1:at + n], tokens[at + 2:at + n]
        at += n
    labels[torch.tensor(rng.random(t) < 0.2)] = -1
    mtp_labels[torch.tensor(rng.random(t) < 0.2)] = -1

    recorder = Recorder()
    recorder.watch(model)
    sums, logits, mtp_logits = {k: torch.zeros((), dtype=torch.float64) for k in LOSSES}, [], []
    with NoFloat32():
        for lo, hi in segments:
            z, zm, balance, indexer = evaluate(c, model, model.mtp, recorder, tokens[lo:hi])
            sums["lm"] = sums["lm"] + F.cross_entropy(z, labels[lo:hi], ignore_index=-1, reduction="sum")
            sums["mtp"] = sums["mtp"] + F.cross_entropy(zm, mtp_labels[lo:hi - 1], ignore_index=-1, reduction="sum")
            sums["balance"], sums["indexer"] = sums["balance"] + balance, sums["indexer"] + indexer
            logits.append(z)
            mtp_logits.append(zm)
        golden = {"tokens": tokens, "labels": labels, "mtp_labels": mtp_labels, "segments": torch.tensor(segments),
                  "losses": torch.stack([sums[k] for k in LOSSES]).detach(),
                  "logits": torch.cat(logits).detach(), "mtp_logits": torch.cat(mtp_logits).detach()}
        trained = sorted(n for n, w in names.items() if locate(model, w)[0].requires_grad)
        for k in LOSSES:
            if not sums[k].requires_grad:
                continue
            model.zero_grad()
            sums[k].backward(retain_graph=True)
            rows = []
            for n in trained:
                x, index = locate(model, names[n])
                rows.append(probe(part(x.grad if x.grad is not None else torch.zeros_like(x), index)))
            golden[f"gradient.{k}"] = torch.stack(rows)
    about = {"torch": torch.__version__, "transformers": transformers.__version__, "seed": seed, "tensors": trained}
    save_file(golden, out / "golden.safetensors", metadata={"about": json.dumps(about)})  # one key: their order would be random
    print(name, {k: v.item() for k, v in sums.items()}, len(trained), "tensors")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    float64_only()
    make("tiny-v4", V4, seed=20260424, lengths=[37, 11])
    make("tiny-v3", V3, seed=20241226, lengths=[17, 7])
