"""Makes distill.json: what students learn from teachers, by PyTorch's autograd in float64.

    python -m venv venv && venv/bin/pip install torch==2.15.0 numpy==2.4.6
    venv/bin/python make_distill.py            # writes next to itself

Nothing here repeats temper's formulas: divergences are PyTorch's own kl_div of log_softmax, gradients are autograd's. Jensen-Shannon is
the generalised one of distillation on a student's own outputs (GKD): beta KL(teacher || m) + (1-beta) KL(student || m).
"""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

ROWS, VOCAB, WIDTH = 9, 53, 6
WIDTHS = [6, 4, 7]


def numbers(rng, *shape):
    return np.round(rng.standard_normal(shape), 3)


def kl(p, q):
    """KL(p || q) of rows of log-probabilities."""
    return F.kl_div(q, p, log_target=True, reduction="none").sum(-1)


def divergence(kind, beta, k, student, teacher):
    if kind == "top-k":
        q, tokens = torch.topk(teacher, k)
        return (q.exp() * (q - student[tokens])).sum(-1).clamp(min=0)
    if kind == "reverse":
        return kl(student, teacher)
    if kind == "forward":
        return kl(teacher, student)
    b = torch.tensor(beta, dtype=torch.float64)
    m = torch.logsumexp(torch.stack([student + torch.log1p(-b), teacher + torch.log(b)]), 0)
    return b * kl(teacher, m) + (1 - b) * kl(student, m)


def main():
    rng = np.random.default_rng(7)
    x, w = numbers(rng, ROWS, WIDTH), numbers(rng, VOCAB, WIDTH)
    heads = [numbers(rng, VOCAB, d) for d in WIDTHS]
    states = [numbers(rng, ROWS, d) for d in WIDTHS]
    labels = rng.integers(0, VOCAB, ROWS)
    entropy = np.round(rng.random(ROWS), 3)
    lessons = []
    for _ in range(2):
        teacher = rng.integers(0, 3, ROWS)
        weight = np.round(rng.random(ROWS), 3)
        teacher[rng.integers(0, ROWS)] = -1
        weight[teacher < 0] = 0
        lessons.append((teacher, weight))
    cases = []
    for kind, beta, k in [("reverse", 0, 0), ("forward", 0, 0), ("jensen-shannon", 0.25, 0), ("jensen-shannon", 0.75, 0), ("top-k", 0, 5), ("top-k", 0, 1)]:
        tx, tw = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
        student = F.log_softmax(tx @ tw.T, -1)
        loss = -(torch.tensor(entropy) * student[torch.arange(ROWS), torch.tensor(labels)]).sum()
        values = []
        for teacher, weight in lessons:
            row = []
            for i in range(ROWS):
                if teacher[i] < 0:
                    row.append(torch.tensor(0.0, dtype=torch.float64))
                    continue
                logits = torch.tensor(states[teacher[i]][i]) @ torch.tensor(heads[teacher[i]]).T
                row.append(divergence(kind, beta, k, student[i], F.log_softmax(logits, -1)))
                loss = loss + weight[i] * row[-1]
            values.append([v.item() for v in row])
        loss.backward()
        cases.append({
            "kind": kind, "beta": beta, "k": k, "objective": loss.item(), "values": values,
            "dx": tx.grad.flatten().tolist(), "dw": tw.grad.flatten().tolist(),
        })
    out = {
        "torch": torch.__version__, "vocab": VOCAB, "x": x.flatten().tolist(), "w": w.flatten().tolist(), "labels": labels.tolist(),
        "entropy": entropy.tolist(), "widths": WIDTHS, "heads": [h.flatten().tolist() for h in heads],
        "states": [s.flatten().tolist() for s in states],
        "lessons": [{"teacher": t.tolist(), "weight": c.tolist()} for t, c in lessons], "cases": cases,
    }
    pathlib.Path(__file__).with_name("distill.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")


main()
