"""Makes golden.json: the losses of the family and their gradients by automatic differentiation.

Formulas as the papers print them, in float64; python golden.py > golden.json in an environment with torch.
"""
import json, random
import torch
import torch.nn.functional as F

ls = F.logsigmoid
def pair(kind, b, e, g, sw, sl, lw, ll, nw, nl):
    if kind == "sigmoid": return -ls(b * (sw - sl))
    if kind == "cdpo": return -(1 - e) * ls(b * (sw - sl)) - e * ls(-b * (sw - sl))
    if kind == "robust": return (-(1 - e) * ls(b * (sw - sl)) + e * ls(-b * (sw - sl))) / (1 - 2 * e)
    if kind == "hinge": return torch.relu(1 - b * (sw - sl))
    if kind == "ipo": return (sw / nw - sl / nl - 1 / (2 * b)) ** 2
    if kind == "norm": return -ls(b * (sw / nw - sl / nl))
    if kind == "simpo": return -ls(b * (lw / nw - ll / nl) - g)
    if kind == "apo-zero": return (1 - torch.sigmoid(b * sw)) + torch.sigmoid(b * sl)

rng, out = random.Random(3), []
t = lambda v: torch.tensor(v, dtype=torch.float64, requires_grad=True)
for kind in ["sigmoid", "cdpo", "robust", "hinge", "ipo", "norm", "simpo", "apo-zero", "kto"]:
    for free in [False, True]:
        if kind == "simpo" and free: continue
        for i in range(12):
            wide = 10.0 ** rng.randint(0, 3)
            nw, nl = rng.randint(1, 40), rng.randint(1, 40)
            lw, ll, rw, rl = (-abs(rng.gauss(0, wide)) for _ in range(4))
            b, e, g = rng.choice([0.01, 0.1, 0.5, 2.0]), rng.choice([0, 0.1, 0.3]), rng.choice([0, 0.5, 1.6])
            sft = rng.choice([0, 1.0, 0.2])
            W, L = t(lw), t(ll)
            sw, sl = (W, L) if free else (W - rw, L - rl)
            c = dict(kind=kind, beta=b, sft=sft, reference_free=free, nw=nw, nl=nl, lw=lw, ll=ll, rw=rw, rl=rl)
            if kind in ("cdpo", "robust"): c["smoothing"] = e
            if kind == "simpo": c["margin"] = g
            if kind == "kto":
                z = abs(rng.gauss(0, wide)); good = rng.random() < 0.5
                ld, lu = rng.choice([1.0, 1.33]), rng.choice([1.0, 0.7])
                loss = ld * (1 - torch.sigmoid(b * (sw - z))) if good else lu * (1 - torch.sigmoid(b * (z - sw)))
                total = loss + (sft * -W / nw if good else 0)
                c.update(z=z, good=good, desirable=ld, undesirable=lu)
                total.backward()
                c.update(loss=loss.item(), dw=W.grad.item(), dl=0.0)
            else:
                loss = pair(kind, b, e, g, sw, sl, W, L, nw, nl)
                (loss + sft * -W / nw).backward()
                c.update(loss=loss.item(), dw=W.grad.item(), dl=L.grad.item() if L.grad is not None else 0.0)
            out.append(c)
print(json.dumps(out))
