#!/usr/bin/env bash
# Tokens a second of the same training step in temper and in PyTorch eager, in turns, on the same cores.
#
#   scripts/bench_torch.sh [ROUNDS [STEPS]]        # default 3 rounds of 5 steps each
#   PYTHONS="python3 venv/bin/python" THREADS=2 ATTENTION=band:128 scripts/bench_torch.sh
#
# On Debian: apt install python3-torch libopenblas0-openmp. Without the second, torch multiplies matrices with the reference
# BLAS, dozens of times too slow to compare with. Any newer torch with numpy does too; give several in PYTHONS.
#
# What is measured is bench-v4 (hidden 512, 8 layers, 16 experts top-4), 4 rows of 512 tokens, AdamW, from the same weights and
# tokens; each torch first proves that it computes the same losses and gradient norm (scripts/bench_torch.py says how) and picks the
# fastest of its ways to compute attention, unless ATTENTION names one; later rounds keep it. Glibc is told to keep freed memory, which spares torch page
# faults (3 % of its time). Close everything else: both programs want all cores.
#
# Prints a table, and writes everything to $OUT (default bench_torch.json).
set -euo pipefail
rounds=${1:-3}
steps=${2:-5}
threads=${THREADS:-2}
pythons=${PYTHONS:-python3}
out=$(realpath -m "${OUT:-bench_torch.json}")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TEMPER_THREADS=$threads OMP_NUM_THREADS=$threads MKL_NUM_THREADS=$threads OPENBLAS_NUM_THREADS=$threads
export MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=34359738368 MALLOC_TOP_PAD_=268435456

(cd "$here/.." && go build -o "$work/temper" ./cmd/temper)
"$work/temper" model init bench-v4 "$work/model" --dtype f32 --seed 1 >&2
"$work/temper" bench step --load "$work/model" --steps 1 --dump "$work/steps.json" --json >/dev/null
for ((round = 1; round <= rounds; round++)); do
  echo "round $round of $rounds: temper" >&2
  "$work/temper" bench step --load "$work/model" --steps "$steps" --json >"$work/temper.0.$round"
  i=0
  for python in $pythons; do
    i=$((i + 1))
    echo "round $round of $rounds: $python" >&2
    way=$(cat "$work/way.$i" 2>/dev/null || echo "${ATTENTION:-auto}")
    "$python" "$here/bench_torch.py" "$work/model" "$work/steps.json" --threads "$threads" --steps "$steps" --attention "$way" \
      >"$work/torch.$i.$round" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
    [ "$round" -gt 1 ] || sed 's/^/  /' "$work/log" >&2
    sed 's/.*"attention": "\([^"]*\)".*/\1/' "$work/torch.$i.$round" >"$work/way.$i"
  done
done

set -- $pythons
"$1" - "$work" "$rounds" "$#" "$out" <<'EOF2'
import json, sys
from statistics import median
work, rounds, pythons, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
runs = {f"{kind}.{i}": [json.load(open(f"{work}/{kind}.{i}.{r + 1}")) for r in range(rounds)]
        for kind, i in [("temper", 0)] + [("torch", i + 1) for i in range(pythons)]}
value = lambda run, key, name="step/tokens": next(r[key] for r in run["results"] if r["name"] == name)
temper = runs["temper.0"]
m = temper[0]["machine"]
print(f"cpu {m['cpu']}, {m['cores']} cores, {m['threads']} threads, temper {m['simd']} {m['build']}")
print(f"{rounds} rounds of {value(temper[0], 'n')} steps, in turns; token/s: least, median of the rounds' medians, most")
print(f"{'':44} {'least':>8} {'median':>8} {'most':>8}   temper/torch by medians: least, median, most of the rounds")
for name, run in runs.items():
    label = f"torch {run[0]['torch']}, {run[0]['attention']}, {run[0]['adamw']} AdamW" if "torch" in run[0] else "temper"
    line = [min(value(r, "min") for r in run), median(value(r, "median") for r in run), max(value(r, "value") for r in run)]
    ratios = [value(t, "median") / value(r, "median") for t, r in zip(temper, run)]
    tail = "" if label == "temper" else f"   {min(ratios):.2f}  {median(ratios):.2f}  {max(ratios):.2f}"
    print(f"{label:44} {line[0]:8.1f} {line[1]:8.1f} {line[2]:8.1f}{tail}")
for name, run in runs.items():
    if "torch" in run[0]:
        print(f"torch {run[0]['torch']}: {'; '.join(run[0]['built'])}")
        print(f"  ways of attention tried, s forward and backward: {run[0]['tried']}; largest difference from temper {run[0]['worst_difference']:.1e}")
json.dump({"machine": m, "runs": runs}, open(out, "w"), indent=1)
EOF2
