#!/usr/bin/env bash
# OpenAI's own clients, from npm and PyPI, against `temper serve`: a tiny model is trained to
# chat, think and call a tool, served, and talked to. Needs node and npm; says so
# where they, or the registry, are missing. Python's is run if it can be had.
set -euo pipefail
cd "$(dirname "$0")/.."
version=6.30.1
python_version=3.57.0
skip() { echo "$1: OpenAI's client is not run"; exit 0; }
command -v node >/dev/null && command -v npm >/dev/null || skip "no node and npm"
work=$(mktemp -d)
server=
cleanup() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap cleanup EXIT
cp scripts/openai_client/* "$work"
go build -o "$work/temper" ./cmd/temper
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --no-save --fetch-retries=1 "openai@$version" >npm.log 2>&1 ||
  { tail -3 npm.log; skip "openai@$version cannot be had from npm"; }
node make_data.mjs rows.jsonl
export XDG_CONFIG_HOME=$work/config
./temper run recipe.yaml --out run >run.log 2>&1 || { cat run.log; exit 1; }
TEMPER_SERVE_TOKEN=open-sesame ./temper serve run --addr 127.0.0.1:0 --name client --queue 20 --speculate --access-log >url 2>serve.log &
server=$!
until [ -s url ]; do
  kill -0 "$server" 2>/dev/null || { cat serve.log; exit 1; }
  sleep 0.1
done
node client.mjs "$(cat url)" || { tail -20 serve.log; exit 1; }
if python3 -m venv venv >/dev/null 2>&1 && venv/bin/pip install -q "openai==$python_version" >pip.log 2>&1; then
  venv/bin/python client.py "$(cat url)" || { tail -20 serve.log; exit 1; }
else
  echo "openai==$python_version cannot be had from PyPI: Python's client is not run"
fi
kill -TERM "$server"
wait "$server" || { echo "temper serve did not stop in good order"; tail serve.log; exit 1; }
server=
