"""Makes golden.json: whole-step losses of the variants and gradients by automatic differentiation.

Written from the papers' formulas on padded tensors, in float64; python golden.py > golden.json with torch.
"""
import json, random
import torch

def step(c, answers):
    """answers: list of dicts with policy (requires grad), old, sampled, reference, advantage, truncated."""
    live = [a for a in answers if not (c.get("mask_truncated") and a["truncated"])]
    n_seq, n_tok = len(live), sum(len(a["policy"]) for a in live)
    total = torch.zeros((), dtype=torch.float64)
    for a in live:
        p, old, mu, ref, A = a["policy"], a["old"], a["sampled"], a["reference"], a["advantage"]
        lr = (p - old).clamp(-20, 20)
        if c["ratio"] == "sequence":
            s = (p - old).mean().clamp(-20, 20)
            r = torch.exp(p - p.detach() + s.detach()) if c["objective"] == "cispo" else torch.exp(s).expand(len(p))
        else:
            r = torch.exp(lr)
        k = r.clamp(1 - c["clip_low"], 1 + c["clip_high"])
        if c["objective"] == "cispo":
            l = -(k.detach() * A * p)
        else:
            l = -torch.minimum(r * A, k * A)
            if c.get("dual_clip") and A < 0:
                l = torch.minimum(l, torch.full_like(l, -c["dual_clip"] * A))
        d = old - mu
        w = torch.exp(d.clamp(-20, 20))
        co = c.get("correction", {})
        kind = co.get("kind", "")
        if kind == "": w = torch.ones_like(w)
        if kind == "token": w = w.clamp(max=co["high"])
        if kind == "sequence": w = torch.exp(d.sum().clamp(-20, 20)).clamp(max=co["high"]).expand(len(p))
        if kind == "band": w = torch.where((w >= co["low"]) & (w <= co["high"]), w, torch.zeros_like(w))
        if kind == "geometric":
            g = torch.exp(d.mean().clamp(-20, 20))
            if not (co["low"] <= g <= co["high"]): w = torch.zeros_like(w)
        if c.get("off_policy") and A < 0 and (mu - p).mean() > c["off_policy"]: w = torch.zeros_like(w)
        l = l * w.detach()
        kl = c.get("kl")
        if kl:
            e = (p - ref).clamp(-20, 20)
            v = {"k1": e, "k2": e * e / 2, "k3": torch.exp(-e) - 1 + e}.get(kl["estimator"])
            if kl["estimator"] == "k3+":
                k2 = e * e / 2
                v = k2 - k2.detach() + (torch.exp(-e) - 1 + e).detach()
            if kl.get("unbiased"): v = torch.exp(lr) * v
            l = l + kl["weight"] * v
        if c["aggregate"] == "token": total = total + l.sum() / n_tok
        if c["aggregate"] == "sequence": total = total + l.mean() / n_seq
        if c["aggregate"] == "constant": total = total + l.sum() / (n_seq * c["max_tokens"])
    return total

rng, out = random.Random(11), []
for i in range(72):
    c = dict(normalise="group", ratio=rng.choice(["token", "token", "sequence"]), objective=rng.choice(["clip", "clip", "cispo"]),
             clip_low=rng.choice([0.2, 0.05]), clip_high=rng.choice([0.2, 0.28, 4.0]), aggregate=rng.choice(["token", "sequence", "constant"]))
    if c["aggregate"] == "constant": c["max_tokens"] = 16
    if c["objective"] == "clip" and rng.random() < 0.4: c["dual_clip"] = 3
    if rng.random() < 0.3: c["mask_truncated"] = True
    if rng.random() < 0.5: c["kl"] = dict(weight=rng.choice([0.01, 0.3]), estimator=rng.choice(["k1", "k2", "k3", "k3+"]), unbiased=rng.random() < 0.5)
    if rng.random() < 0.6:
        kind = rng.choice(["token", "sequence", "band", "geometric"])
        c["correction"] = dict(kind=kind, high=2.0) if kind in ("token", "sequence") else dict(kind=kind, low=0.9, high=1.1)
    if rng.random() < 0.3: c["off_policy"] = 0.05
    answers = []
    f32 = lambda v: torch.tensor(v, dtype=torch.float32).to(torch.float64)
    for _ in range(rng.randint(1, 4)):
        n = rng.randint(1, 6)
        base = [-abs(rng.gauss(0, 1)) - 0.01 for _ in range(n)]
        wide = rng.choice([0.0, 0.02, 0.3])
        noisy = lambda w: f32([b + rng.gauss(0, w) for b in base])
        answers.append(dict(policy=noisy(wide).requires_grad_(), old=f32(base), sampled=noisy(rng.choice([0, 0.05, 0.3])), reference=noisy(0.5),
                            advantage=rng.choice([1.0, -1.0, 0.3, -2.5]), truncated=rng.random() < 0.2))
    if all(a["truncated"] for a in answers) and c.get("mask_truncated"): continue
    loss = step(c, answers)
    loss.backward()
    out.append(dict(config=c, loss=loss.item(), answers=[
        dict(policy=a["policy"].tolist(), old=a["old"].tolist(), sampled=a["sampled"].tolist(), reference=a["reference"].tolist(),
             advantage=a["advantage"], truncated=a["truncated"], grad=(a["policy"].grad if a["policy"].grad is not None else torch.zeros(len(a["policy"]))).tolist()) for a in answers]))
print(json.dumps(out))
