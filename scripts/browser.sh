#!/usr/bin/env bash
# The dashboard in a real Chromium: pages, live updates, keyboard, heat map.
# Installs Debian's chromium where there is none and it can.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v chromium >/dev/null || { apt-get update -q && apt-get install -qy chromium; } >/dev/null 2>&1 || true
if ! command -v chromium >/dev/null; then
  echo "no chromium, and it cannot be installed: browser tests are skipped"
  exit 0
fi
TEMPER_BROWSER=must go test ./dashboard -run Browser
