#!/usr/bin/env python3
"""A dense Transformer of the size of a recipe's model, trained on the recipe's own rows: what its held-out loss is worth.

    TEMPER_DATA=/path/to/data temper data rows recipes/shakespeare.yaml >rows.jsonl
    python3 scripts/dense_baseline.py rows.jsonl --lr 5e-4,1e-3,2e-3,4e-3 --sweep-steps 150 >docs/bench/dense.csv

Same token rows in the same steps, same held-out rows and labels, same number of steps, the loss in nats a token. The model is
the usual one: RMSNorm before attention and feed-forward, rotary positions, SwiGLU, head not tied, no biases; the width of the
feed-forward is set so that the parameters are as many as those of the recipe's model (without its MTP block; give --parameters
for another number). AdamW (0.9, 0.95, decay 0.1 on matrices), clipping at 1, warm-up over a twentieth, cosine to a tenth.

All pairs of --lr and --dropout are tried. With --sweep-steps N they are tried over N steps, each with a whole schedule of its
own, and only the best of them is then trained in full. Prints CSV: run (sweep or full), lr, dropout, step, train_loss (mean since the
last line), held_out_loss, tokens, seconds; and on stderr the least and the last held-out loss of each run.

Needs torch 1.13 or newer. --bf16 computes the products in bfloat16 (torch.autocast), twice as fast on processors that can.
"""

import argparse
import contextlib
import itertools
import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


def read(path, steps):
    """The head, the held-out documents and those of each step: lists of (tokens, labels)."""
    with open(path, encoding="utf-8") as f:
        head, held, train = json.loads(next(f)), [], {}
        for line in f:
            r = json.loads(line)
            documents = [(r["tokens"][a:b], r["labels"][a:b]) for a, b in r["segments"]]
            if r["kind"] == "held_out":
                held += documents
            elif steps is None or r["step"] < steps:
                train.setdefault(r["step"], []).extend(documents)
    return head, held, [train[s] for s in sorted(train)]


def batch(documents):
    """Tokens and labels as [documents, longest]; the fill comes after all tokens that count, and has no label."""
    n = max(len(t) for t, _ in documents)
    fill = [(t + [0] * (n - len(t)), l + [-1] * (n - len(l))) for t, l in documents]
    return torch.tensor([t for t, _ in fill]), torch.tensor([l for _, l in fill])


class RMSNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.weight


class Block(nn.Module):
    def __init__(self, d, heads, ff, dropout):
        super().__init__()
        self.heads, self.drop = heads, nn.Dropout(dropout)
        self.n1, self.n2 = RMSNorm(d), RMSNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.up, self.down = nn.Linear(d, 2 * ff, bias=False), nn.Linear(ff, d, bias=False)

    def forward(self, x, cos, sin):
        B, T, d = x.shape
        q, k, v = self.qkv(self.n1(x)).view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        o = attention(rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + self.drop(self.out(o.transpose(1, 2).reshape(B, T, d)))
        g, u = self.up(self.n2(x)).chunk(2, -1)
        return x + self.drop(self.down(F.silu(g) * u))


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x.dtype)


def attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    T = q.shape[2]
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    s = (q @ k.transpose(2, 3)) / math.sqrt(q.shape[-1])
    return torch.softmax(s.masked_fill(future, -math.inf), -1) @ v


class Transformer(nn.Module):
    def __init__(self, vocabulary, d, layers, heads, ff, dropout):
        super().__init__()
        self.embed, self.head = nn.Embedding(vocabulary, d), nn.Linear(d, vocabulary, bias=False)
        self.blocks, self.norm = nn.ModuleList(Block(d, heads, ff, dropout) for _ in range(layers)), RMSNorm(d)
        self.drop, self.half = nn.Dropout(dropout), d // heads // 2
        for name, p in self.named_parameters():
            if p.dim() == 2:  # what writes to the residual starts smaller, as in GPT-2
                nn.init.normal_(p, std=0.02 / (math.sqrt(2 * layers) if name.endswith(("out.weight", "down.weight")) else 1))

    def forward(self, tokens):
        t = torch.arange(tokens.shape[1])[:, None] * 10000.0 ** (-torch.arange(self.half) / self.half)
        x = self.drop(self.embed(tokens))
        for b in self.blocks:
            x = b(x, t.cos(), t.sin())
        return self.head(self.norm(x))


def width_of_ff(parameters, vocabulary, d, layers):
    """The feed-forward width that comes nearest to the number of parameters."""
    rest = parameters - 2 * vocabulary * d - d - layers * (4 * d * d + 2 * d)
    ff = round(rest / (3 * d * layers * 8)) * 8
    if ff < 8:
        sys.exit(f"{parameters} parameters leave nothing for the feed-forward: take fewer --layers or a smaller --width")
    return ff


def measure(model, held, cast):
    model.eval()
    total = count = 0
    with torch.no_grad():
        for i in range(0, len(held), 16):
            tokens, labels = batch(held[i:i + 16])
            with cast():
                z = model(tokens)
            total += F.cross_entropy(z.float().flatten(0, 1), labels.flatten(), ignore_index=-1, reduction="sum").item()
            count += int((labels >= 0).sum())
    model.train()
    return total / count


def rate(step, steps, peak):
    warm = max(1, steps // 20)
    if step < warm:
        return peak * (step + 1) / warm
    x = (step - warm) / max(1, steps - 1 - warm)
    return peak * (0.1 + 0.9 * math.cos(x * math.pi / 2) ** 2)


def train(run, make, lr, dropout, data, held, a, cast):
    """Trains one model; returns its least held-out loss."""
    torch.manual_seed(a.seed)
    model = make(dropout)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), eps=1e-8)
    start, losses, tokens, curve = time.time(), [], 0, []
    for step in range(len(data) + 1):
        if step % a.every == 0 or step == len(data):
            curve.append(measure(model, held, cast))
            mean = f"{sum(losses) / len(losses):.5f}" if losses else ""
            print(f"{run},{lr:g},{dropout:g},{step},{mean},{curve[-1]:.5f},{tokens},{time.time() - start:.1f}", flush=True)
            losses = []
        if step == len(data):
            break
        x, y = batch(data[step])
        for g in optimizer.param_groups:
            g["lr"] = rate(step, len(data), lr)
        with cast():
            z = model(x)
        loss = F.cross_entropy(z.float().flatten(0, 1), y.flatten(), ignore_index=-1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        tokens += sum(len(t) for t, _ in data[step])
    print(f"{run}: lr {lr:g}, dropout {dropout:g}: held-out loss {min(curve):.4f} at best, {curve[-1]:.4f} at the end", file=sys.stderr)
    return min(curve)


def numbers(text):
    return [float(x) for x in text.split(",")]


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("rows", help="file written by temper data rows")
    a.add_argument("--lr", type=numbers, default=[5e-4, 1e-3, 2e-3, 4e-3], help="peak learning rates")
    a.add_argument("--dropout", type=numbers, default=[0.0])
    a.add_argument("--sweep-steps", type=int, default=0, help="steps of the trials; 0: try all in full")
    a.add_argument("--steps", type=int, help="steps of a full run (default: the recipe's)")
    a.add_argument("--every", type=int, default=50, help="steps between measurements")
    a.add_argument("--parameters", type=int, help="(default: those of the recipe's model)")
    a.add_argument("--width", type=int, default=384)
    a.add_argument("--layers", type=int, default=8)
    a.add_argument("--heads", type=int, default=6)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--bf16", action="store_true")
    a = a.parse_args()
    torch.set_num_threads(a.threads)
    cast = (lambda: torch.autocast("cpu", torch.bfloat16)) if a.bf16 else contextlib.nullcontext

    head, held, data = read(a.rows, a.steps)
    want = a.parameters or head["parameters"]
    ff = width_of_ff(want, head["vocabulary"], a.width, a.layers)

    def make(dropout):
        return Transformer(head["vocabulary"], a.width, a.layers, a.heads, ff, dropout)

    size = sum(p.numel() for p in make(0).parameters())
    if abs(size - want) > 0.02 * want:
        sys.exit(f"{size} parameters are not within 2 % of {want}: take another --width or --layers")
    print(f"torch {torch.__version__}, {a.threads} threads; {size} parameters ({want} wanted): width {a.width}, layers {a.layers}, "
          f"heads {a.heads}, feed-forward {ff}; {len(data)} steps, {len(held)} held-out documents", file=sys.stderr)
    print("run,lr,dropout,step,train_loss,held_out_loss,tokens,seconds")
    pairs = list(itertools.product(a.lr, a.dropout))
    if a.sweep_steps and len(pairs) > 1:
        best = min(pairs, key=lambda p: train("sweep", make, *p, data[:a.sweep_steps], held, a, cast))
        pairs = [best]
    for p in pairs:
        train("full", make, *p, data, held, a, cast)


if __name__ == "__main__":
    main()
