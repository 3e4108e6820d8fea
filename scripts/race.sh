#!/usr/bin/env bash
# The race detector on the packages that run goroutines. It needs a C compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v gcc >/dev/null || { apt-get update -q && apt-get install -qy gcc; } >/dev/null
go test -race -short ./compute/kernel/... ./nn/... ./data/... ./train/... ./internal/... ./distributed/schedule/scheduletest ./dashboard ./report/runlog ./serve/...
go test -race -run 'Workers|Cancelled|DependOnNothingElse' ./cluster/planner ./cluster/costmodel
