#!/usr/bin/env bash
# Tampers with a run in a thousand ways, each of which must be found, and makes a
# thousand honest runs, each of which must pass, on every path of this machine.
# Usage: scripts/trials.sh [TRIALS]
set -euo pipefail
cd "$(dirname "$0")/.."
echo "commit $(git rev-parse --short HEAD), $(nproc) threads of $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)"
time go test ./recipe/replay -run 'TestTamperingIsFound|TestHonestRunsPass' -trials "${1:-1000}" -timeout 0 -count 1 -v
