#!/usr/bin/env bash
# Tokens a second of one sequence in temper and in PyTorch eager with a cache, in turns, on the same cores.
#
#   PYTHON=venv/bin/python scripts/bench_decode.sh [ROUNDS]        # default 3
set -euo pipefail
rounds=${1:-3}
python=${PYTHON:-python3}
threads=${THREADS:-2}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TEMPER_THREADS=$threads OMP_NUM_THREADS=$threads MKL_NUM_THREADS=$threads
temper=${TEMPER:-$work/temper}
[ -n "${TEMPER:-}" ] || (cd "$here/.." && go build -o "$work/temper" ./cmd/temper)
"$temper" model init bench-v4 "$work/model" --dtype f32 --seed 1 >&2
for ((round = 1; round <= rounds; round++)); do
  "$temper" bench step --method decode --load "$work/model" --batch 1 --steps 9 | grep -E "decode|memory"
  "$python" "$here/bench_decode.py" "$work/model" --threads "$threads"
done
