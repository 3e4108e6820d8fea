#!/usr/bin/env bash
# go generate must reproduce the committed files byte for byte.
set -euo pipefail
cd "$(dirname "$0")/.."
before=$(git status --porcelain)
go generate ./...
after=$(git status --porcelain)
if [ "$before" != "$after" ]; then
  echo "go generate changed files: commit what it makes"
  git diff --stat
  exit 1
fi
