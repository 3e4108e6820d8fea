#!/usr/bin/env bash
# Runs the README's test command, `go test ./...`, shows what failed or was
# skipped and closes with the counts.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
go test -json ./... >"$out" 2>"$out.err"
status=$?
cat "$out.err" >&2; rm -f "$out.err"
count() { grep -c "\"Action\":\"$1\".*\"Test\":" "$out" || true; }
if [ $status -ne 0 ]; then
  # The output of failed packages, as go test would have shown it.
  grep '"Action":"\(output\|build-output\)"' "$out" | sed -e 's/.*"Output":"\(.*\)"}$/\1/' -e 's/\\n$//' -e 's/\\t/\t/g' -e 's/\\"/"/g' |
    grep -v -e '^=== ' -e '^--- PASS' -e '^    --- PASS' | tail -n 400
fi
grep '"Action":"output"' "$out" | grep -- '--- SKIP' | sed -e 's/.*"Output":" *\(.*\)\\n"}$/\1/' | sort | uniq | sed 's/^/skipped: /' | head -40
summary="$(count pass) passed, $(count fail) failed, $(count skip) skipped"
echo "$summary" | tee "${TEMPER_TEST_SUMMARY:-/tmp/temper-test-summary}"
exit $status
