"""Makes trajectory-v4.json and trajectory-v3.json: whole optimizer steps of the tiny models, in float64.

    venv/bin/python make_trajectory.py     # needs what model/deepseek/testdata/make_goldens.py needs

The models start from model/deepseek/testdata/tiny-*. Each step runs its rows through PyTorch, adds the four losses, each a mean
over the whole step (lm and mtp over their labels, balance over segments, indexer over tokens), clips the gradient to norm 1 and
updates: Muon for matrices, AdamW for the rest with weight decay for embedding and head only, then the routers' bias by
sign(mean load - load). A file holds the constants, "rows" per step, and "steps": the means, the gradient norm before clipping,
and after the last step a probe of every tensor ("final", as make_goldens.py's probe()) and of its movement ("moved").
"""

import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "model/deepseek/testdata"))
import make_goldens as models  # noqa: E402

sys.path.insert(0, str(ROOT / "train/optim/testdata"))
import importlib.util  # noqa: E402

spec = importlib.util.spec_from_file_location("optim_goldens", ROOT / "train/optim/testdata/make_goldens.py")
optim = importlib.util.module_from_spec(spec)
spec.loader.exec_module(optim)

CONSTANTS = {"lr": 0.01, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weight_decay": 0.1, "momentum": 0.95, "rms": 0.18, "clip": 1.0,
             "mtp": 0.3, "balance": 0.01, "indexer": 0.1, "bias_rate": 0.01}


def draw_rows(rng, vocab, lengths):
    """Rows of packed samples in which the next token is mostly a function of the last one, so that there is something to learn."""
    rows = []
    for row in lengths:
        tokens, labels, mtp, segments = [], [], [], []
        for n in row:
            x = [int(rng.integers(vocab))]
            while len(x) < n:
                x.append((5 * x[-1] + 3) % vocab if rng.random() < 0.8 else int(rng.integers(vocab)))
            segments.append([len(tokens), len(tokens) + n])
            tokens += x
            labels += x[1:] + [-1]
            mtp += x[2:] + [-1, -1]
        labels = [-1 if rng.random() < 0.2 else v for v in labels]
        rows.append({"tokens": tokens, "labels": labels, "mtp_labels": mtp, "segments": segments})
    return rows


def is_matrix(name, x):
    return x.ndim == 2 and not any(s in name for s in ("embed", "head.weight", ".ape", "norm"))


class Updater:
    """Muon and AdamW over the published tensors."""

    def __init__(self, model, names, config):
        self.c, self.model, self.config = CONSTANTS, model, config
        self.at = {n: w for n, w in names.items() if models.locate(model, w)[0].requires_grad}
        self.first, self.second, self.t = {}, {}, 0

    def value(self, name):
        x, index = models.locate(self.model, self.at[name])
        return models.part(x, index)

    def gradient(self, name):
        x, index = models.locate(self.model, self.at[name])
        return models.part(x.grad if x.grad is not None else torch.zeros_like(x), index).numpy().copy()

    def step(self):
        c, self.t = self.c, self.t + 1
        gradients = {n: self.gradient(n) for n in self.at}
        norm = float(np.sqrt(sum((g**2).sum() for g in gradients.values())))
        scale = min(1.0, c["clip"] / (norm + 1e-6))
        for n, g in gradients.items():
            with torch.no_grad():
                w = self.value(n).numpy()  # aliases the parameter
                if is_matrix(n, w):
                    self.muon(n, w, g * scale)
                else:
                    self.adamw(n, w, g * scale)
        return norm

    def muon(self, n, w, g):
        c = self.c
        m = self.first[n] = c["momentum"] * self.first.get(n, 0) + g
        u = c["momentum"] * m + g
        blocks = self.config.get("o_groups", 1) if n.endswith("wo_a.weight") else 1
        rows = w.shape[0] // blocks
        for k in range(blocks):
            at = slice(k * rows, (k + 1) * rows)
            x = optim.newton_schulz(u[at], optim.HYBRID) if np.any(u[at]) else np.zeros_like(u[at])
            w[at] = w[at] * (1 - c["lr"] * c["weight_decay"]) - c["lr"] * c["rms"] * np.sqrt(max(rows, w.shape[1])) * x

    def adamw(self, n, w, g):
        c = self.c
        m = self.first[n] = c["beta1"] * self.first.get(n, 0) + (1 - c["beta1"]) * g
        v = self.second[n] = c["beta2"] * self.second.get(n, 0) + (1 - c["beta2"]) * g * g
        if w.ndim == 2 and not n.endswith(".ape"):
            w *= 1 - c["lr"] * c["weight_decay"]
        w -= c["lr"] * (m / (1 - c["beta1"] ** self.t)) / (np.sqrt(v / (1 - c["beta2"] ** self.t)) + c["epsilon"])


def run(name, config, seed, steps):
    model, names = models.build(config, ROOT / "model/deepseek/testdata" / name)
    recorder, updater = models.Recorder(), Updater(model, names, config)
    recorder.watch(model)
    rng = np.random.default_rng(seed)
    start = {n: updater.value(n).detach().clone() for n in updater.at}
    out = {"constants": CONSTANTS, "rows": [], "steps": []}
    for _ in range(steps):
        rows = draw_rows(rng, config["vocab_size"], [[20, 9], [26]])
        out["rows"].append(rows)
        count = {"lm": sum(v >= 0 for r in rows for v in r["labels"]), "mtp": sum(v >= 0 for r in rows for v in r["mtp_labels"]),
                 "balance": sum(len(r["segments"]) for r in rows), "indexer": sum(len(r["tokens"]) for r in rows)}
        sums, load = dict.fromkeys(models.LOSSES, 0.0), {}
        model.zero_grad()
        for row in rows:
            tokens, labels, mtp = (torch.tensor(row[k]) for k in ("tokens", "labels", "mtp_labels"))
            for lo, hi in row["segments"]:
                with models.NoFloat32():
                    z, zm, balance, indexer = models.evaluate(config, model, model.mtp, recorder, tokens[lo:hi])
                    parts = {"lm": F.cross_entropy(z, labels[lo:hi], ignore_index=-1, reduction="sum"),
                             "mtp": F.cross_entropy(zm, mtp[lo:hi - 1], ignore_index=-1, reduction="sum"),
                             "balance": balance, "indexer": indexer}
                    total = sum(parts[k] * CONSTANTS.get(k, 1.0) / count[k] for k in models.LOSSES)
                    total.backward()
                for k in models.LOSSES:
                    sums[k] += parts[k].item()
                for router, _, indices in recorder.routers:
                    load[router] = load.get(router, 0) + F.one_hot(indices, config["n_routed_experts"]).sum(dim=(0, 1))
        norm = updater.step()
        for router, n in load.items():
            router.e_score_correction_bias += CONSTANTS["bias_rate"] * torch.sign(n.sum() - n * len(n)).double()
        out["steps"].append({k: sums[k] / count[k] for k in models.LOSSES} | {"grad_norm": norm})
        print(name, out["steps"][-1])
    out["final"], out["moved"] = {}, {}
    for n in sorted(updater.at):
        out["final"][n] = models.probe(updater.value(n).detach()).tolist()
        out["moved"][n] = float((updater.value(n).detach() - start[n]).norm())
    for n, where in names.items():
        if n.endswith("bias"):
            out["final"][n] = models.probe(models.locate(model, where)[0]).tolist()
    (HERE / f"trajectory-{name.removeprefix('tiny-')}.json").write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    models.float64_only()
    run("tiny-v4", models.V4, 1, 6)
    run("tiny-v3", models.V3, 2, 6)
