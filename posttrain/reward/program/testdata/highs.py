"""Makes testdata/highs.json: random programs in the LP format with what HiGHS says of them.

Run in a throw-away environment with highspy 1.x: python highs.py > highs.json
"""
import json, os, random, tempfile
import highspy

def program(rng):
    n, m = rng.randint(2, 7), rng.randint(1, 7)
    names = [f"x{i}" for i in range(n)]
    num = lambda: rng.choice([rng.randint(-9, 9), round(rng.uniform(-5, 9), 2), rng.randint(0, 20)])
    def linear():
        s = ""
        for v in names:
            c = num()
            if c and rng.random() < 0.8:
                s += f" {'-' if c < 0 else '+'} {abs(c)} {v}"
        return s or f" + 1 {names[0]}"
    t = rng.choice(["Minimize", "Maximize"]) + "\n obj:" + linear() + "\nSubject To\n"
    for i in range(m):
        t += f" c{i}:{linear()} {rng.choice(['<=', '<=', '>=', '='])} {num() * 3}\n"
    t += f" box:" + "".join(f" + 1 {v}" for v in names) + " <= 40\n"
    t += "Bounds\n"
    for v in names:
        r = rng.random()
        if r < 0.15: t += f" {v} free\n"
        elif r < 0.3: t += f" {-rng.randint(0, 5)} <= {v} <= {rng.randint(1, 9)}\n"
        elif r < 0.4: t += f" {v} <= {rng.randint(1, 12)}\n"
        elif r < 0.45: t += f" -inf <= {v} <= {rng.randint(-3, 12)}\n"
    ints = [v for v in names if rng.random() < 0.4]
    if ints and rng.random() < 0.7:
        t += "General\n " + " ".join(ints) + "\n"
    return t + "End\n"

out = []
rng = random.Random(7)
while len(out) < 160:
    text = program(rng)
    with tempfile.NamedTemporaryFile("w", suffix=".lp", delete=False) as f:
        f.write(text)
    h = highspy.Highs()
    h.setOptionValue("output_flag", False)
    h.setOptionValue("mip_rel_gap", 0.0)
    assert h.readModel(f.name) == highspy.HighsStatus.kOk, text
    os.unlink(f.name)
    h.run()
    status = h.modelStatusToString(h.getModelStatus())
    if status not in ("Optimal", "Infeasible", "Unbounded"):
        continue
    out.append({"program": text, "status": status.lower(),
                "objective": h.getInfo().objective_function_value if status == "Optimal" else None})
print(json.dumps(out, indent=0))
