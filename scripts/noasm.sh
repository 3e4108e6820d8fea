#!/usr/bin/env bash
# The plain-Go build of the kernels gives the same golden bits, and everything
# builds without cgo.
set -euo pipefail
cd "$(dirname "$0")/.."
go test -tags noasm ./compute/... ./internal/detrand
CGO_ENABLED=0 go build ./...
CGO_ENABLED=0 GOARCH=arm64 go build ./...
