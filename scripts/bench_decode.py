#!/usr/bin/env python3
"""Decoding of one sequence in PyTorch eager with a cache, for comparison. scripts/bench_decode.sh runs both.

    temper model init bench-v4 DIR --dtype f32 --seed 1
    python3 scripts/bench_decode.py DIR --threads 2

The model is that of bench_torch.py, which proves on the same weights that it computes what temper computes. Here it goes one
token at a time: keys of the window, compressed entries, the indexer's keys and the rows of unfinished blocks are kept. Before
anything is measured, the loss of a sequence, token by token, must agree with that of bench_torch.py's pass over the whole.
Prints one JSON object: tokens a second, best and median of the samples.
"""

import argparse
import json
import math
import pathlib
import statistics
import sys
import time

import torch
import torch.nn.functional as F

from bench_torch import Model, rms_norm, rope


class Decoder(Model):
    """The model with T = 1 and a cache by attention layer."""

    def __init__(self, directory, length):
        super().__init__(directory, 1, length)
        self.T, self.t, self.kept = 1, 0, {}

    def balance(self, *_):
        pass

    def rows(self, name, row):
        """Adds a row to what is kept under a name, and returns all rows."""
        if name not in self.kept:
            self.kept[name] = [row.new_empty(len(self.cis[0]), *row.shape[1:]), 0]
        k = self.kept[name]
        k[0][k[1]] = row[0]
        k[1] += 1
        return k[0][:k[1]]

    def entries(self, x, prefix, ratio, dim, cis):
        """All entries after the token x [1, D]; None while there is none."""
        p, t = self.p, self.t
        vz = F.linear(x, p[prefix + "wkv.wgate"]).view(1, 2, -1)
        vz[:, 1] += p[prefix + "ape"][t % ratio]
        rows = self.rows(prefix + "rows", vz)
        if (t + 1) % ratio == 0:
            own = rows[t + 1 - ratio:]
            v, z = own[:, 0], own[:, 1]
            if ratio == 4:
                v, z = v[:, dim:], z[:, dim:]
                if t >= ratio:
                    before = rows[t + 1 - 2 * ratio:t + 1 - ratio]
                    v, z = torch.cat([before[:, 0, :dim], v]), torch.cat([before[:, 1, :dim], z])
            e = (torch.softmax(z, 0) * v).sum(0, keepdim=True)
            e = rms_norm(e, p[prefix + "norm.weight"], self.c["rms_norm_eps"])
            return self.rows(prefix + "entries", rope(e, cis[t + 1 - ratio]))
        k = self.kept.get(prefix + "entries")
        return k[0][:k[1]] if k else None

    def attn(self, x, prefix, ratio):
        c, p, t = self.c, self.p, self.t
        H, D, eps = c["num_attention_heads"], c["head_dim"], c["rms_norm_eps"]
        cis = self.cis[ratio != 0]
        qr, kv = F.linear(x, p[prefix + "wq_a.wkv"]).split([c["q_lora_rank"], D], -1)
        qr = rms_norm(qr, p[prefix + "q_norm.weight"], eps)
        q = rope(rms_norm(F.linear(qr, p[prefix + "wq_b.weight"]).view(H, D), None, eps) * D ** -0.5, cis[t])
        kv = rope(rms_norm(kv, p[prefix + "kv_norm.weight"], eps), cis[t])
        keys = self.rows(prefix, kv)[max(0, t + 1 - c["sliding_window"]):]
        if ratio:
            e = self.entries(x, prefix + "compressor.", ratio, D, cis)
            if ratio == 4:
                k = self.entries(x, prefix + "indexer.compressor.", 4, c["index_head_dim"], cis)
                if k is not None and len(k) > c["index_topk"]:
                    iq = F.linear(qr, p[prefix + "indexer.wq_b.weight"]).view(c["index_n_heads"], -1)
                    s = F.linear(x, p[prefix + "indexer.weights_proj.weight"]) @ (rope(iq, cis[t]) @ k.t()).relu_()
                    e = e[s[0].topk(c["index_topk"]).indices]
            if e is not None:
                keys = torch.cat([keys, e])
        s = torch.cat([q @ keys.t(), p[prefix + "attn_sink"][:, None]], 1)
        o = rope(torch.softmax(s, 1)[:, :-1] @ keys, cis[t].conj())
        G = c["o_groups"]
        z = torch.bmm(o.view(G, 1, -1), p[prefix + "wo_a.weight"].view(G, c["o_lora_rank"], -1).transpose(1, 2))
        return F.linear(z.view(1, -1), p[prefix + "wo_b.weight"])

    def step(self, token):
        """Logits after one more token, a tensor [1]."""
        X = F.embedding(token, self.p["embed.weight"])[:, None].expand(-1, self.c["hc_mult"], -1)
        for i in range(self.c["num_hidden_layers"]):
            X = self.block(X, f"layers.{i}.", i, token, 1)
        self.t += 1
        return self.logits(X, "")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("model", type=pathlib.Path)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--prompt", type=int, default=128)
    a.add_argument("--tokens", type=int, default=16)
    a.add_argument("--samples", type=int, default=9)
    o = a.parse_args()
    torch.set_num_threads(o.threads)
    length = 1024
    with torch.inference_mode():
        ids = torch.randint(0, 8192, (1, 384), generator=torch.Generator().manual_seed(1))
        want = Model(o.model, 1, 384).losses(ids)[0].item()
        m = Decoder(o.model, length)
        loss = 0.0
        for i in range(383):
            loss += F.cross_entropy(m.step(ids[0, i:i + 1]), ids[0, i + 1:i + 2]).item() / 383
        if not math.isclose(loss, want, rel_tol=1e-4):
            sys.exit(f"token by token the loss is {loss}, in one pass {want}")
        m = Decoder(o.model, length)
        for i in range(o.prompt):
            token = m.step(ids[0, i:i + 1]).argmax(-1)
        rates = []
        for i in range(o.samples + 1):
            start = time.perf_counter()
            for _ in range(o.tokens):
                token = m.step(token).argmax(-1)
            rates.append(o.tokens / (time.perf_counter() - start))
    print(json.dumps({"torch": torch.__version__, "best": max(rates[1:]), "median": statistics.median(rates[1:]), "n": o.samples}))


if __name__ == "__main__":
    main()
