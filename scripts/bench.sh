#!/usr/bin/env bash
# Measures what docs/bench reports, on a machine that does nothing else, and
# writes docs/bench/DATE-bench.txt with commit and CPU.
#
#   TEMPER_DATA=/path/to/data scripts/bench.sh [OUT]
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-docs/bench/$(date +%Y%m%d)-bench.txt}
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -buildvcs=true -o "$bin/temper" ./cmd/temper
run() { # the command as a person would type it, then what it prints
  echo "\$ $*"
  env "${@:1:$#}" | sed 's/ *$//'
  echo
}
{
  PATH=$bin:$PATH
  for simd in avx512 avx2; do
    TEMPER_SIMD=$simd temper version >/dev/null 2>&1 || continue
    run TEMPER_SIMD=$simd temper bench step
  done
  run temper bench step --recompute full
  run temper bench step --optimizer muon --steps 3
  run temper bench kernels
  if [ -n "${TEMPER_DATA:-}" ]; then
    temper tokenizer train "$TEMPER_DATA/gsm8k_train.jsonl" --field question --field answer --vocab-size 8192 --out "$bin/tok" 2>/dev/null >&2
    echo "# tokenizer: temper tokenizer train gsm8k_train.jsonl --field question --field answer --vocab-size 8192"
    (cd "$TEMPER_DATA" && run temper bench data gsm8k_train.jsonl --map prompt=question,response=answer --tokenizer "$bin/tok" | sed "s#$bin#.#")
  fi
} >"$out"
echo "wrote $out"
