"""Makes kto.json: whole steps of KTO as TRL 1.x computes them, gradients by automatic differentiation.

kto_loss is KTOTrainer.kto_loss of huggingface/trl on one process, the batch being the step, and the step's loss
the mean that compute_loss returns. Inputs are the log-probabilities of single tokens, in float64.
python kto.py > kto.json in an environment with torch.
"""
import json, random
import torch
import torch.nn.functional as F


def kto_loss(beta, desirable, undesirable, policy, reference, labels, policy_kl, reference_kl):
    kl = (policy_kl - reference_kl).mean().detach().clamp(min=0)
    ratios = policy - reference
    losses = torch.where(labels, desirable * (1 - F.sigmoid(beta * (ratios - kl))), undesirable * (1 - F.sigmoid(beta * (kl - ratios))))
    return losses.nanmean(), beta * ratios.detach(), kl


rng, out = random.Random(5), []
for case in range(24):
    n, wide = rng.randint(2, 9), 10.0 ** rng.randint(-1, 1)
    tokens = [[-abs(rng.gauss(0, wide)) for _ in range(rng.randint(1, 6))] for _ in range(n)]
    policy = [torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in tokens]
    reference = [sum(t) + rng.gauss(0, wide) for t in tokens]
    policy_kl = [-abs(rng.gauss(0, 9 * wide)) for _ in range(n)]
    reference_kl = [v + rng.gauss(wide if case % 3 else -wide, wide) for v in policy_kl]
    labels = [case % 8 == 0 or case % 8 != 1 and rng.random() < 0.5 for _ in range(n)]
    beta, desirable, undesirable = rng.choice([0.1, 0.5, 2.0]), rng.choice([1.0, 1.33]), rng.choice([1.0, 0.7])
    f64 = lambda v: torch.tensor(v, dtype=torch.float64)
    loss, rewards, kl = kto_loss(beta, desirable, undesirable, torch.stack([p.sum() for p in policy]), f64(reference), torch.tensor(labels), f64(policy_kl), f64(reference_kl))
    loss.backward()
    good = [r.item() for r, l in zip(rewards, labels) if l]
    bad = [r.item() for r, l in zip(rewards, labels) if not l]
    out.append(dict(
        beta=beta, desirable=desirable, undesirable=undesirable, policy=tokens, reference=reference, policy_kl=policy_kl, reference_kl=reference_kl,
        labels=labels, loss=loss.item(), kl=kl.item(), chosen=sum(good) / max(1, len(good)), rejected=sum(bad) / max(1, len(bad)),
        gradients=[p.grad.tolist() for p in policy],
    ))
print("[" + ",\n".join(json.dumps(c) for c in out) + "]")
