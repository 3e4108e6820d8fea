#!/usr/bin/env bash
# go vet, staticcheck and gofumpt, at the versions that tools/go.mod pins.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
(cd tools && GOBIN=$bin go install honnef.co/go/tools/cmd/staticcheck mvdan.cc/gofumpt)
go vet ./...
go vet -tags noasm ./compute/...
GOARCH=arm64 go vet ./compute/... ./nn/... ./model/...
"$bin/staticcheck" ./...
unformatted=$("$bin/gofumpt" -l $(git ls-files '*.go'))
if [ -n "$unformatted" ]; then
  echo "not formatted: run gofumpt -w on"; echo "$unformatted"
  exit 1
fi
echo "lint: clean"
