#!/usr/bin/env bash
# The conformance suite, cross-compiled for arm64 and run under qemu: another
# architecture, whose compiler fuses products by itself, must give the same bits.
#
# Whole packages run where emulation allows it. Of the others the tests run that
# hold results to digests made on amd64, on every path that arm64 has.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v qemu-aarch64 >/dev/null || { apt-get update -q && apt-get install -qy qemu-user; } >/dev/null
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
suite() { # PACKAGE TESTS
  GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go test -c -o "$bin/suite" "$1"
  echo "arm64 $1"
  (cd "$1" && qemu-aarch64 "$bin/suite" -test.short -test.timeout 30m -test.run "$2" -test.v) >"$bin/out" || { cat "$bin/out"; exit 1; }
  echo "  $(grep -c '^--- PASS' "$bin/out") tests passed"
  grep -q '^--- PASS' "$bin/out" || { echo "no test of $1 matches $2"; exit 1; }
}
suite ./compute/dtype .
suite ./compute/kernel/kerneltest 'Golden|EveryTail|ReductionOrder|ChainsContinue|SpecialValues|Twins|Gradient'
suite ./compute/kernel 'Ties|TopK|Underflow|ScoreLoopsAgree|FewRows'
suite ./internal/detrand .
suite ./nn/attention 'Digests|Rotary|NaturalLog|HalfPi|YaRN'
suite ./train/optim .
suite ./model/deepseek 'StepDigest|InitDependsOnNamesOnly'
suite ./data/tokenizer/internal/bpe .
