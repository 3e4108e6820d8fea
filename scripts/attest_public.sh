#!/usr/bin/env bash
# The attestations of a run, read by the public tools: OpenSSF model_signing, the CycloneDX schema validator, huggingface_hub, a
# CommonMark reader, openssl; and the same with one bit flipped, which each must refuse.
#
#   scripts/attest_public.sh [RUN]        # default the golden run, report/attest/testdata/run
#   VENV=dir scripts/attest_public.sh     # keep the Python packages there for the next time
#
# Needs python3 (3.10 or newer) with venv, PyPI, and openssl. Prints a line for each thing that was tried; exit 1 if one is not as it should be.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
run=$(realpath "${1:-$here/../report/attest/testdata/run}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
venv=${VENV:-$work/venv}
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
  # model-signing 1.1.1 imports OpenSSL without asking for pyOpenSSL.
  "$venv/bin/pip" install -q model-signing==1.1.1 pyOpenSSL 'cyclonedx-python-lib[json-validation]==11.*' huggingface_hub markdown-it-py linkify-it-py in-toto-attestation
fi
failed=0
tell() { printf '%-4s %s\n' "$1" "$2"; [ "$1" = ok ] || failed=1; }
should() { # should pass|fail TEXT COMMAND...
  local want=$1 text=$2 got=pass; shift 2
  "$@" >"$work/log" 2>&1 || got=fail
  if [ "$got" = "$want" ]; then tell ok "$text: $(tail -1 "$work/log" | cut -c1-100)"; else tell BAD "$text: ${got}ed"; cat "$work/log"; fi
}
flip() { # flip FILE BYTE: change one bit
  "$venv/bin/python" - "$1" "$2" <<'P'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[int(sys.argv[2]) % len(b)] ^= 1
open(sys.argv[1], "wb").write(b)
P
}
sign="$venv/bin/python -m model_signing"
a=$run/attestations

should pass "model_signing: the model" $sign verify key "$run/model" --signature "$a/model.sig" --public_key "$a/model.pub"
cp -r "$run/model" "$work/model"
weights=$(cd "$work/model" && ls *.safetensors | head -1)
flip "$work/model/$weights" 3
should fail "model_signing: a bit flipped in $weights" $sign verify key "$work/model" --signature "$a/model.sig" --public_key "$a/model.pub"
flip "$work/model/$weights" 3
touch "$work/model/extra.py"
should fail "model_signing: one file more" $sign verify key "$work/model" --signature "$a/model.sig" --public_key "$a/model.pub"
rm "$work/model/extra.py"
"$venv/bin/python" - "$a/model.sig" "$work/flipped.sig" <<'P'
import base64, json, sys
b = json.load(open(sys.argv[1]))
p = bytearray(base64.b64decode(b["dsseEnvelope"]["payload"]))
p[p.index(b'"name":"') + 8] ^= 1  # the first letter of a file's name
b["dsseEnvelope"]["payload"] = base64.b64encode(p).decode()
json.dump(b, open(sys.argv[2], "w"))
P
should fail "model_signing: a bit flipped in the statement" $sign verify key "$run/model" --signature "$work/flipped.sig" --public_key "$a/model.pub"
cp -r "$a" "$work/model/attestations" && cp "$a/README.md" "$work/model/README.md"
should pass "model_signing: card and attestations copied into the model" $sign verify key "$work/model" --signature "$work/model/attestations/model.sig" --public_key "$a/model.pub"

# Why there is a second key: the public tool has no Ed25519.
openssl genpkey -algorithm ed25519 -out "$work/ed.pem" 2>/dev/null
should fail "model_signing: signing with an Ed25519 key" $sign sign key "$run/model" --private_key "$work/ed.pem" --signature "$work/ed.sig"

"$venv/bin/python" "$here/attest_public.py" "$a" "$work" "$here/../report/attest/testdata/hostile.md" && tell ok "attest_public.py" || tell BAD "attest_public.py"

# The Ed25519 signatures, by openssl alone.
for name in record model provenance; do
  should pass "openssl: $name.json" openssl pkeyutl -verify -rawin -pubin -inkey "$work/record.pub" -in "$work/$name.pae" -sigfile "$work/$name.sig"
  flip "$work/$name.pae" 200
  should fail "openssl: a bit flipped in $name.json" openssl pkeyutl -verify -rawin -pubin -inkey "$work/record.pub" -in "$work/$name.pae" -sigfile "$work/$name.sig"
done
exit $failed
