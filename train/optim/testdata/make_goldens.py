"""Makes adamw.json and muon.json: optimizer steps in float64, with float32 inputs.

    python -m venv venv && venv/bin/pip install torch==2.15.0 numpy==2.4.6
    venv/bin/python make_goldens.py            # writes next to itself

Both files are lists of cases. A case gives "shape", the constants, "lr" (one per step), "start" (row-major), "gradients" (one
per step) and, after each step, "values"; and the state after the last step.

adamw.json comes from torch.optim.AdamW. State: "first" and "second" moments.

muon.json follows the V4 report (2.4, 4.2.2), per block of rows ("blocks" of them are independent matrices):

    M <- mu M + G;  U = mu M + G;  X = U / |U|_F;  ten times X <- a X + b (X X^T) X + c (X X^T)^2 X,
    eight with (3.4445, -4.7750, 2.0315) and two with (2, -1.5, 0.5);  W <- W (1 - lr wd) - lr rms sqrt(max(n, m)) X

State: "momentum". The script does not write what it has not checked twice: the polynomial is also applied to the singular
values of X alone, and the same code with five steps of the first triple is held against torch.optim.Muon (which works in
bfloat16; here its module is told that bfloat16 means float64).
"""

import json
import pathlib

import numpy as np
import torch
import torch.optim._muon as torch_muon

HERE = pathlib.Path(__file__).parent
FAST, EXACT = (3.4445, -4.7750, 2.0315), (2.0, -1.5, 0.5)
HYBRID = [FAST] * 8 + [EXACT] * 2


def draw(rng, scale, *shape):
    return (scale * rng.standard_normal(shape)).astype(np.float32).astype(np.float64)


# ---------------------------------------------------------------- AdamW


def adamw(rng, n, beta1, beta2, eps, decay, lr, scale):
    start, gradients = draw(rng, 1, n), [draw(rng, scale, n) for _ in lr]
    gradients[1][:3] = 0  # some elements see a zero gradient, one sees nothing else
    for g in gradients:
        g[3] = 0
    p = torch.nn.Parameter(torch.tensor(start))
    opt = torch.optim.AdamW([p], betas=(beta1, beta2), eps=eps, weight_decay=decay, foreach=False)
    values = []
    for rate, g in zip(lr, gradients):
        opt.param_groups[0]["lr"] = rate
        p.grad = torch.tensor(g)
        opt.step()
        values.append(p.detach().tolist())
    return {"shape": [n], "beta1": beta1, "beta2": beta2, "epsilon": eps, "weight_decay": decay, "lr": lr, "start": start.tolist(),
            "gradients": [g.tolist() for g in gradients], "values": values,
            "first": opt.state[p]["exp_avg"].tolist(), "second": opt.state[p]["exp_avg_sq"].tolist()}


# ---------------------------------------------------------------- Muon


def newton_schulz(u, steps):
    x = u / np.linalg.norm(u)
    for a, b, c in steps:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def by_singular_values(u, steps):
    left, s, right = np.linalg.svd(u / np.linalg.norm(u), full_matrices=False)
    for a, b, c in steps:
        s = a * s + b * s**3 + c * s**5
    return left @ np.diag(s) @ right


def muon_steps(start, gradients, lr, blocks, mu, decay, rms, steps):
    w, momentum, values = start.copy(), np.zeros_like(start), []
    rows = start.shape[0] // blocks
    for rate, g in zip(lr, gradients):
        momentum = mu * momentum + g
        u = mu * momentum + g
        for k in range(blocks):
            at = slice(k * rows, (k + 1) * rows)
            x = newton_schulz(u[at], steps)
            assert np.allclose(x, by_singular_values(u[at], steps), rtol=0, atol=1e-12)
            w[at] = w[at] * (1 - rate * decay) - rate * rms * np.sqrt(max(rows, start.shape[1])) * x
        values.append(w.copy())
    return values, momentum


def muon(rng, shape, blocks, lr, mu=0.95, decay=0.1, rms=0.18):
    start, gradients = draw(rng, 0.2, *shape), [draw(rng, 0.01, *shape) for _ in lr]
    values, momentum = muon_steps(start, gradients, lr, blocks, mu, decay, rms, HYBRID)
    return {"shape": list(shape), "blocks": blocks, "momentum_factor": mu, "weight_decay": decay, "rms": rms, "lr": lr,
            "start": start.ravel().tolist(), "gradients": [g.ravel().tolist() for g in gradients],
            "values": [v.ravel().tolist() for v in values], "momentum": momentum.ravel().tolist()}


def check_against_torch(rng):
    class Float64Torch:
        bfloat16 = torch.float64

        def __getattr__(self, name):
            return getattr(torch, name)

    torch_muon.torch = Float64Torch()
    for shape in ((5, 9), (9, 5), (6, 6)):
        start, gradients, lr = draw(rng, 0.2, *shape), [draw(rng, 1, *shape) for _ in range(4)], [0.02, 0.01, 0.03, 0.02]
        p = torch.nn.Parameter(torch.tensor(start))
        opt = torch.optim.Muon([p], momentum=0.95, weight_decay=0.1, nesterov=True, ns_steps=5, adjust_lr_fn="match_rms_adamw")
        values, _ = muon_steps(start, gradients, lr, 1, 0.95, 0.1, 0.2, [FAST] * 5)
        for rate, g, want in zip(lr, gradients, values):
            opt.param_groups[0]["lr"] = rate
            p.grad = torch.tensor(g)
            opt.step()
            # torch keeps (1-mu) times our momentum: the same direction
            assert np.allclose(p.detach().numpy(), want, rtol=0, atol=1e-12), np.abs(p.detach().numpy() - want).max()


if __name__ == "__main__":
    rng = np.random.default_rng(20260424)
    check_against_torch(rng)
    cases = [adamw(rng, 19, 0.9, 0.95, 1e-20, 0.1, [1e-3, 2e-3, 2e-3, 1e-3, 5e-4], 0.1),
             adamw(rng, 7, 0.9, 0.999, 1e-8, 0.0, [1e-2, 1e-2, 1e-2], 1e-6)]
    (HERE / "adamw.json").write_text(json.dumps(cases) + "\n")
    lr = [2e-2, 2e-2, 1e-2]
    cases = [muon(rng, (6, 10), 1, lr), muon(rng, (10, 6), 1, lr), muon(rng, (7, 7), 1, lr), muon(rng, (1, 5), 1, lr),
             muon(rng, (8, 9), 2, lr)]
    (HERE / "muon.json").write_text(json.dumps(cases) + "\n")
