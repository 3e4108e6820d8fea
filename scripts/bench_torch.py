#!/usr/bin/env python3
"""The training step of `temper bench step` in PyTorch eager, for comparison. scripts/bench_torch.sh runs both.

    temper model init bench-v4 DIR --dtype f32 --seed 1
    temper bench step --load DIR --steps 2 --dump FILE --json
    python3 scripts/bench_torch.py DIR FILE --threads 2 --steps 9

DIR holds the weights, FILE the tokens and what temper computed from them: losses and gradient norm of each step. The first
step must agree, or nothing is printed: --tolerance (relative; 1e-4) for the three losses, ten times that for the norm of the
gradient. So both programs compute the same function, its whole backward pass, clipping and update.

Needs torch 1.13 or newer and numpy. It is written as one would write it for speed in eager mode, without custom kernels:
products of equal inputs fused into one, the keys of a block of queries in one batched product, tokens sorted by expert,
small mixing matrices with tokens as the last dimension, one-pass AdamW where torch has it. Where ways compete (--attention),
--attention auto times each that this torch knows, and keeps the fastest:

    band:N  queries in blocks of N, each against its window and all compressed entries, masked
    dense   all queries against all keys, masked
    sdpa:N  like band, by scaled_dot_product_attention (torch 2)

What bench-v4 does not have is not here: YaRN, V3, the indexer's loss (so the indexer gets no gradient), more than one segment
a row. The Hadamard rotation inside the indexer turns queries and keys alike, cancels out, and is left away.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F


def read_safetensors(path):
    """All tensors of a file: 8 bytes of header length, a JSON header, the data."""
    raw = np.memmap(path, dtype=np.uint8, mode="c")
    size = int(raw[:8].view("<u8")[0])
    kinds, out = {"F32": np.float32, "I64": np.int64}, {}
    for name, t in json.loads(raw[8:8 + size].tobytes()).items():
        if name != "__metadata__":
            lo, hi = t["data_offsets"]
            data = np.frombuffer(raw[8 + size + lo:8 + size + hi].tobytes(), kinds[t["dtype"]])
            out[name] = torch.from_numpy(data.copy().reshape(t["shape"]))
    return out


# ---------------------------------------------------------------- parts


def rms_norm(x, weight, eps):
    y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    return y if weight is None else y * weight


if hasattr(F, "rms_norm"):
    def rms_norm(x, weight, eps):  # noqa: F811
        return F.rms_norm(x, x.shape[-1:], weight, eps)


def rope(x, cis):
    """Rotates neighbouring pairs of the last dimensions; cis broadcasts against them."""
    n = 2 * cis.shape[-1]
    a, b = x.split([x.shape[-1] - n, n], -1)
    b = torch.view_as_real(torch.view_as_complex(b.reshape(*b.shape[:-1], -1, 2)) * cis).flatten(-2)
    return torch.cat([a, b], -1)


def lower_index_topk(x, k):
    """torch.topk does not say which of equal values it takes; temper takes the lower index. Steps that are compared do too:
    the indexer has ties, scores of exactly 0, and they move the loss by 1e-5. Measured steps use the faster torch.topk."""
    return torch.sort(x, dim=-1, descending=True, stable=True).indices[..., :k]


def topk(x, k):
    return x.topk(k, -1).indices


def swiglu(h, limit):
    g, u = h.chunk(2, -1)
    return F.silu(g.clamp(max=limit)) * u.clamp(-limit, limit)


class Dispatch(torch.autograd.Function):
    """Rows of tokens sorted by expert. Its transpose is a gather too, much faster than the index_add of autograd."""

    @staticmethod
    def forward(ctx, x, token, back):
        ctx.save_for_backward(back)
        ctx.tokens = x.shape[0]
        return x.index_select(0, token)

    @staticmethod
    def backward(ctx, g):
        back, = ctx.saved_tensors
        return g.index_select(0, back).view(ctx.tokens, -1, g.shape[-1]).sum(1), None, None


class Combine(torch.autograd.Function):
    """The transpose of Dispatch: the sum of each token's rows."""

    @staticmethod
    def forward(ctx, y, token, back, tokens):
        ctx.save_for_backward(token)
        return y.index_select(0, back).view(tokens, -1, y.shape[-1]).sum(1)

    @staticmethod
    def backward(ctx, g):
        token, = ctx.saved_tensors
        return g.index_select(0, token), None, None, None


# ---------------------------------------------------------------- model


class Model:
    def __init__(self, directory, rows, length):
        self.c = c = json.loads((directory / "config.json").read_text())
        assert c["model_type"] == "deepseek_v4" and not c.get("rope_scaling") and c["num_nextn_predict_layers"] == 1
        self.B, self.T = rows, length
        self.p, self.fused = {}, {}
        for name, x in read_safetensors(directory / "model.safetensors").items():
            frozen = name.endswith(("gate.bias", "tid2eid")) or ".indexer." in name
            self.p[name] = x if frozen else torch.nn.Parameter(x)
        for block in [f"layers.{i}." for i in range(c["num_hidden_layers"])] + ["mtp.0."]:
            self.fuse(block + "attn.", "wq_a", "wkv")
            for part in ("attn.compressor.", "attn.indexer.compressor."):
                if block + part + "wkv.weight" in self.p:
                    self.fuse(block + part, "wkv", "wgate")
            for e in [f"experts.{e}." for e in range(c["n_routed_experts"])] + ["shared_experts."]:
                self.fuse(block + "ffn." + e, "w1", "w3")
        self.attention, self.topk = "dense", topk
        n = torch.arange(c["qk_rope_head_dim"] // 2, dtype=torch.float64) * 2 / c["qk_rope_head_dim"]
        t = torch.arange(length, dtype=torch.float64)[:, None]
        self.cis = [torch.polar(torch.ones(length, len(n), dtype=torch.float64), t * base ** -n).to(torch.complex64)
                    for base in (c["rope_theta"], c["compress_rope_theta"])]
        self.masks = {}

    def fuse(self, prefix, a, b):
        """One product for two of the same input: the weights stand one above the other."""
        x = [self.p.pop(f"{prefix}{n}.weight") for n in (a, b)]
        y = torch.cat([t.detach() for t in x])
        self.p[f"{prefix}{a}.{b}"] = torch.nn.Parameter(y) if x[0].requires_grad else y

    # Hyper-connections. X is [N, S, D]; mixing numbers are [.., N] until they are used.

    def mix(self, X, name):
        c, S, p = self.c, self.c["hc_mult"], self.p
        x, eps = X.flatten(1), c["hc_eps"]
        r = torch.rsqrt(x.square().mean(1) + c["rms_norm_eps"])
        m = F.linear(x, p[name + "_fn"]).t() * r
        scale, base = p[name + "_scale"], p[name + "_base"][:, None]
        pre = torch.sigmoid(m[:S] * scale[0] + base[:S]) + eps
        if len(m) == S:
            return pre
        post = 2 * torch.sigmoid(m[S:2 * S] * scale[1] + base[S:2 * S])
        C = torch.softmax((m[2 * S:] * scale[2] + base[2 * S:]).view(S, S, -1), 1) + eps
        C = C / (C.sum(0, keepdim=True) + eps)
        for _ in range(c["hc_sinkhorn_iters"] - 1):
            C = C / (C.sum(1, keepdim=True) + eps)
            C = C / (C.sum(0, keepdim=True) + eps)
        return pre, post, C

    def collapse(self, X, pre):
        return torch.bmm(pre.t()[:, None], X)[:, 0]

    def sublayer(self, X, prefix, kind, f):
        pre, post, C = self.mix(X, f"{prefix}hc_{kind}")
        y = f(rms_norm(self.collapse(X, pre), self.p[f"{prefix}{kind}_norm.weight"], self.c["rms_norm_eps"]))
        return torch.baddbmm(post.t()[:, :, None] * y[:, None], C.permute(2, 1, 0), X)

    # Attention.

    def compress(self, x, prefix, ratio, dim, cis):
        """Entries [B, T/ratio, dim] of tokens x [N, D]."""
        p, B = self.p, self.B
        v, z = F.linear(x, p[prefix + "wkv.wgate"]).view(B, -1, ratio, 2, p[prefix + "ape"].shape[1]).unbind(3)
        z = z + p[prefix + "ape"]
        if ratio == 4:  # the block before through the first channels, its own through the others
            v = torch.cat([F.pad(v[:, :-1, :, :dim], (0, 0, 0, 0, 1, 0)), v[..., dim:]], 2)
            z = torch.cat([F.pad(z[:, :-1, :, :dim], (0, 0, 0, 0, 1, 0), value=-math.inf), z[..., dim:]], 2)
        e = (torch.softmax(z, 2) * v).sum(2)
        return rope(rms_norm(e, p[prefix + "norm.weight"], self.c["rms_norm_eps"]), cis[::ratio])

    @torch.no_grad()
    def choose(self, x, qr, prefix, cis):
        """The indexer's choice as a mask [B, T, entries] of 0 and -inf, before visibility."""
        c, p, B, T = self.c, self.p, self.B, self.T
        H, D = c["index_n_heads"], c["index_head_dim"]
        k = self.compress(x, prefix + "compressor.", 4, D, cis)
        q = rope(F.linear(qr, p[prefix + "wq_b.weight"]).view(B, T, H, D), cis[:, None]).view(B, T * H, D)
        w = F.linear(x, p[prefix + "weights_proj.weight"]).view(B, T, 1, H)
        s = torch.matmul(w, torch.bmm(q, k.transpose(1, 2)).relu_().view(B, T, H, -1))[:, :, 0] + self.visible(4)
        best = self.topk(s, min(c["index_topk"], s.shape[-1]))
        return torch.full_like(s, -math.inf).scatter_(-1, best, 0.0)

    def visible(self, ratio):
        """[T, entries]: entry i is visible to t when i < (t+1)/ratio."""
        t, i = torch.arange(self.T)[:, None], torch.arange(self.T // ratio)
        return self.cached(("visible", ratio), lambda: mask(i < (t + 1) // ratio))

    def cached(self, key, make):
        if key not in self.masks:
            self.masks[key] = make()
        return self.masks[key]

    def attend(self, q, kv, entries, chosen, sink):
        """q [B, T, H, D] (scaled), kv [B, T, D], entries [B, C, D] or None -> [B, T, H, D].

        The sink is a key whose last, additional dimension is 1 where queries have sink_h; its value is 0."""
        how, _, n = self.attention.partition(":")
        B, T, H, D = q.shape
        W, n = self.c["sliding_window"], int(n or T)
        q = torch.cat([q, sink.view(1, 1, H, 1).expand(B, T, H, 1)], -1)
        if n < T:
            keys = F.pad(kv, (0, 1, W, 0)).unfold(1, W + n, n).transpose(2, 3)
        else:
            keys = F.pad(kv, (0, 1))[:, None]
        b, span = keys.shape[1:3]
        tail = [torch.cat([kv.new_zeros(D), kv.new_ones(1)]).expand(B, b, 1, D + 1)]
        if entries is not None:
            tail = [F.pad(entries, (0, 1))[:, None].expand(B, b, -1, D + 1)] + tail
        keys = torch.cat([keys] + tail, 2).view(B * b, -1, D + 1)

        def window():
            t = torch.arange(T).view(b, n, 1)
            k = torch.arange(b).view(b, 1, 1) * n + torch.arange(span) - (W if n < T else 0)
            return mask((k >= 0) & (k <= t) & (k > t - W))

        parts = [self.cached(("window", n), window)[None]]
        if entries is not None:
            parts.append(chosen.view(-1, b, n, entries.shape[1]))
        rows = max(m.shape[0] for m in parts)
        parts = [m.expand(rows, -1, -1, -1) for m in parts] + [kv.new_zeros(rows, b, n, 1)]
        bias = torch.cat(parts, 3)
        if how == "sdpa":
            bias = bias.expand(B, -1, -1, -1).reshape(B * b, 1, n, -1)
            keys = keys[:, None].expand(-1, H, -1, -1)
            o = F.scaled_dot_product_attention(q.view(B * b, n, H, -1).transpose(1, 2), keys, keys, bias, scale=1.0)
            return o[..., :D].transpose(1, 2).contiguous().view(B, T, H, D)
        s = torch.bmm(q.view(B * b, n * H, -1), keys.transpose(1, 2))
        s.view(B, b, n, H, -1).add_(bias[:, :, :, None])
        return torch.bmm(torch.softmax(s, -1), keys[..., :D]).view(B, T, H, D)

    def attn(self, x, prefix, ratio):
        c, p, B, T = self.c, self.p, self.B, self.T
        H, D, eps = c["num_attention_heads"], c["head_dim"], c["rms_norm_eps"]
        cis = self.cis[ratio != 0]
        qr, kv = F.linear(x, p[prefix + "wq_a.wkv"]).split([c["q_lora_rank"], D], -1)
        qr = rms_norm(qr, p[prefix + "q_norm.weight"], eps)
        q = rms_norm(F.linear(qr, p[prefix + "wq_b.weight"]).view(B, T, H, D), None, eps)
        q = rope(q * D ** -0.5, cis[:, None])
        kv = rope(rms_norm(kv, p[prefix + "kv_norm.weight"], eps).view(B, T, D), cis)
        entries = chosen = None
        if ratio:
            entries, chosen = self.compress(x, prefix + "compressor.", ratio, D, cis), self.visible(ratio)
        if ratio == 4:
            chosen = chosen + self.choose(x.detach(), qr.detach(), prefix + "indexer.", cis)
        o = rope(self.attend(q, kv, entries, chosen, p[prefix + "attn_sink"]), cis.conj()[:, None])
        G = c["o_groups"]
        z = torch.bmm(o.view(B * T, G, -1).transpose(0, 1), p[prefix + "wo_a.weight"].view(G, c["o_lora_rank"], -1).transpose(1, 2))
        return F.linear(z.transpose(0, 1).reshape(B * T, -1), p[prefix + "wo_b.weight"])

    # Experts.

    def moe(self, x, prefix, hashed, ids, used):
        """used is how many positions of a row count: all, or all but the last in the MTP block."""
        c, p = self.c, self.p
        N, E, K, limit = len(x), c["n_routed_experts"], c["num_experts_per_tok"], c["swiglu_limit"]
        s = F.softplus(F.linear(x, p[prefix + "gate.weight"])).sqrt()
        if hashed:
            pick = p[prefix + "gate.tid2eid"][ids]
        else:
            pick = self.topk(s.detach() + p[prefix + "gate.bias"], K)
            self.balance(s.view(self.B, self.T, E)[:, :used], pick.view(self.B, self.T, K)[:, :used], prefix)
        w = s.gather(1, pick)
        w = w / w.sum(1, keepdim=True) * c["routed_scaling_factor"]

        flat = pick.flatten()
        order = flat.argsort()
        back = torch.empty_like(order)
        back[order] = torch.arange(N * K)
        counts, token = torch.bincount(flat, minlength=E).tolist(), order // K
        xs, ws = Dispatch.apply(x, token, back), w.view(-1, 1)[order]
        out = []
        for e, (xe, we) in enumerate(zip(xs.split(counts), ws.split(counts))):
            if len(xe):
                h = swiglu(F.linear(xe, p[f"{prefix}experts.{e}.w1.w3"]), limit) * we
                out.append(F.linear(h, p[f"{prefix}experts.{e}.w2.weight"]))
        y = Combine.apply(torch.cat(out), token, back, N)
        shared = swiglu(F.linear(x, p[prefix + "shared_experts.w1.w3"]), limit)
        return y + F.linear(shared, p[prefix + "shared_experts.w2.weight"])

    def balance(self, s, pick, prefix):
        B, T, E = s.shape
        count = torch.zeros(B, E).scatter_add_(1, pick.flatten(1), torch.ones(B, pick[0].numel()))
        self.balances.append((count * (E / pick[0].numel()) * (s / s.sum(-1, keepdim=True)).mean(1)).sum())
        self.load[prefix + "gate.bias"] = count.sum(0)

    # The whole.

    def block(self, X, prefix, layer, ids, used):
        ratio, hashed = self.c["compress_ratios"][layer], layer < self.c["num_hash_layers"]
        X = self.sublayer(X, prefix, "attn", lambda a: self.attn(a, prefix + "attn.", ratio))
        return self.sublayer(X, prefix, "ffn", lambda a: self.moe(a, prefix + "ffn.", hashed, ids, used))

    def logits(self, X, prefix):
        h = self.collapse(X, self.mix(X, prefix + "hc_head"))
        return F.linear(rms_norm(h, self.p[prefix + "norm.weight"], self.c["rms_norm_eps"]), self.p["head.weight"])

    def losses(self, ids):
        """Mean LM and MTP losses, and the balance loss per row, of ids [B, T]."""
        c, p = self.c, self.p
        n, S, eps = c["num_hidden_layers"], c["hc_mult"], c["rms_norm_eps"]
        self.balances, self.load = [], {}
        label, mtp_label = (F.pad(ids[:, k:], (0, k), value=-1).flatten() for k in (1, 2))
        ahead = ids.roll(-1, 1).flatten()  # the last position's is never seen by another, and does not count
        h = F.embedding(ids.flatten(), p["embed.weight"])
        X = h[:, None].expand(-1, S, -1)
        for i in range(n):
            X = self.block(X, f"layers.{i}.", i, ids.flatten(), self.T)
        lm = F.cross_entropy(self.logits(X, ""), label, ignore_index=-1)

        e = rms_norm(F.embedding(ahead, p["embed.weight"]), p["mtp.0.enorm.weight"], eps)
        X = F.linear(rms_norm(X, p["mtp.0.hnorm.weight"], eps), p["mtp.0.h_proj.weight"])
        X = X + F.linear(e, p["mtp.0.e_proj.weight"])[:, None]
        X = self.block(X, "mtp.0.", n, ahead, self.T - 1)
        mtp = F.cross_entropy(self.logits(X, "mtp.0."), mtp_label, ignore_index=-1)
        return lm, mtp, sum(self.balances) / self.B


def mask(allowed):
    return torch.zeros(allowed.shape).masked_fill_(~allowed, -math.inf)


# ---------------------------------------------------------------- training


class Trainer:
    LR, MTP, BALANCE, BIAS_RATE, CLIP = 1e-4, 0.3, 1e-4, 0.001, 1.0

    def __init__(self, model):
        self.m = model
        trained = {n: x for n, x in model.p.items() if x.requires_grad}
        plain = [x for n, x in trained.items() if x.dim() < 2 or n.endswith("ape")]
        decayed = [x for n, x in trained.items() if not (x.dim() < 2 or n.endswith("ape"))]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
        o = {"lr": self.LR, "betas": (0.9, 0.95), "eps": 1e-8}
        try:
            self.optimizer = torch.optim.AdamW(groups, fused=True, **o)
            self.how = "fused"
        except (RuntimeError, TypeError, AssertionError):  # torch before 2.4: not on a CPU
            self.optimizer = torch.optim.AdamW(groups, foreach=True, **o)
            self.how = "foreach"
        self.params = list(trained.values())

    def backward(self, ids):
        self.optimizer.zero_grad(set_to_none=True)
        lm, mtp, balance = self.m.losses(ids)
        (lm + self.MTP * mtp + self.BALANCE * balance).backward()
        return lm, mtp, balance

    def step(self, ids, compare=False):
        losses = self.backward(ids)
        if compare:  # torch sums squares one by one in float32: of four million, that is 1e-5 off
            norm = torch.stack([x.grad.double().square().sum() for x in self.params]).sum().sqrt()
        clipped = torch.nn.utils.clip_grad_norm_(self.params, self.CLIP)
        self.optimizer.step()
        for name, load in self.m.load.items():
            self.m.p[name] += self.BIAS_RATE * torch.sign(load.mean() - load)
        return [x.item() for x in losses] + [(norm if compare else clipped).item()]


def fastest(trainer, ids, seconds):
    """Tries each way of attention forward and backward, and leaves the fastest set."""
    W = trainer.m.c["sliding_window"]
    ways = ["dense"] + [f"band:{n}" for n in (W // 2, W, 2 * W) if n < trainer.m.T]
    if hasattr(F, "scaled_dot_product_attention") and torch.__version__ >= "2.1":
        ways += [f"sdpa:{W}", "sdpa"]
    times = {w: math.inf for w in ways}
    for _ in range(2):
        for w in ways:
            trainer.m.attention = w
            start = seconds()
            trainer.backward(ids)
            times[w] = min(times[w], seconds() - start)
    trainer.m.attention = min(times, key=times.get)
    return times


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model", type=pathlib.Path, help="directory written by temper model init --dtype f32")
    a.add_argument("dump", type=pathlib.Path, help="file written by temper bench step --dump")
    a.add_argument("--steps", type=int, default=9, choices=range(1, 1000), metavar="N", help="steps measured, after those compared")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--attention", default="auto", help="auto, dense, band:N or sdpa:N")
    a.add_argument("--tolerance", type=float, default=1e-4)
    a.add_argument("--cpu-time", action="store_true", help="processor seconds instead of wall time: for a busy machine")
    a = a.parse_args()
    torch.set_num_threads(a.threads)
    seconds = time.process_time if a.cpu_time else time.perf_counter

    dump = json.loads(a.dump.read_text())
    steps = [torch.tensor(s["tokens"]) for s in dump["steps"]]
    rows, length = steps[0].shape
    trainer = Trainer(Model(a.model, rows, length))
    if a.attention == "auto":
        tried = fastest(trainer, steps[0], seconds)
    else:
        trainer.m.attention, tried = a.attention, {}

    worst, trainer.m.topk = 0.0, lower_index_topk
    for i, s in enumerate(dump["steps"]):
        for name, want, got in zip(("lm", "mtp", "balance", "grad_norm"), (s[k] for k in ("lm", "mtp", "balance", "grad_norm")),
                                   trainer.step(steps[i], compare=True)):
            error = abs(got - want) / abs(want)
            print(f"step {i} {name}: torch {got:.7f}, temper {want:.7f}, {error:.1e} apart", file=sys.stderr)
            if i == 0 and error > a.tolerance * (10 if name == "grad_norm" else 1):
                sys.exit(f"step 0: {name} differs: this is not the same computation")
            worst = max(worst, error)

    times, trainer.m.topk = [], topk
    for i in range(a.steps):
        start = seconds()
        trainer.step(steps[i % len(steps)])
        times.append(seconds() - start)
    rate = sorted(rows * length / t for t in times)
    blas = [x for x in torch.__config__.show().splitlines() if "MKL" in x or "BLAS" in x or "CPU capability" in x]
    print(json.dumps({
        "torch": torch.__version__, "threads": torch.get_num_threads(), "attention": trainer.m.attention, "adamw": trainer.how,
        "built": [x.strip(" -")[:90] for x in blas], "tried": {k: round(v, 3) for k, v in tried.items()}, "worst_difference": worst,
        "results": [{"name": "step/tokens", "value": rate[-1], "unit": "token/s", "min": rate[0], "median": rate[len(rate) // 2],
                     "n": len(rate)}]}))


if __name__ == "__main__":
    main()
