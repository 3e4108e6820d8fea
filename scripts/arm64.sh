#!/usr/bin/env bash
# The conformance suite, cross-compiled for arm64 and run under qemu: another
# architecture, whose compiler fuses products by itself, must give the same bits.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v qemu-aarch64 >/dev/null || { apt-get update -q && apt-get install -qy qemu-user; } >/dev/null
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
for p in ./compute/dtype ./compute/kernel/kerneltest ./internal/detrand ./nn/attention ./train/optim ./model/deepseek; do
  GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go test -c -o "$bin/suite.test" "$p"
  [ -f "$bin/suite.test" ] || continue
  echo "arm64 $p"
  (cd "$p" && qemu-aarch64 "$bin/suite.test" -test.short -test.timeout 20m -test.run 'Golden|Everywhere|Conformance')
  rm -f "$bin/suite.test"
done
