"""Reads the attestations in a directory with public readers; called by attest_public.sh. A third argument is
another card to read.

Takes the envelopes apart for openssl: NAME.pae is what was signed, NAME.sig the signature, record.pub the key of the record.
"""

import base64
import copy
import json
import os
import re
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from huggingface_hub import ModelCard
from in_toto_attestation.v1 import statement_pb2
from markdown_it import MarkdownIt

directory, work = sys.argv[1:3]


def read(name):
    with open(os.path.join(directory, name), encoding="utf-8") as f:
        return f.read()


def envelopes():
    for name in ("record", "model", "provenance"):
        e = json.loads(read(name + ".json"))
        payload = base64.b64decode(e["payload"], validate=True)
        kind = e["payloadType"].encode()
        (signature,) = e["signatures"]
        with open(f"{work}/{name}.pae", "wb") as f:
            f.write(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
        with open(f"{work}/{name}.sig", "wb") as f:
            f.write(base64.b64decode(signature["sig"], validate=True))
        key = base64.b64decode(signature["keyid"].split("+", 2)[2])
        assert key[0] == 1 and len(key) == 33, "not an Ed25519 verifier key"
        with open(f"{work}/record.pub", "wb") as f:
            f.write(
                Ed25519PublicKey.from_public_bytes(key[1:]).public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
            )
        statement = json_format.Parse(payload, statement_pb2.Statement())
        print(f"ok   in-toto: {name}.json is a {statement.type} of {len(statement.subject)} subjects, {statement.predicate_type}")


def bom():
    text = read("bom.json")
    for version in (SchemaVersion.V1_6, SchemaVersion.V1_7):
        number = version.value[0], version.value[1]
        value = json.loads(text)
        value["specVersion"] = "%d.%d" % number
        value["$schema"] = "http://cyclonedx.org/schema/bom-%d.%d.schema.json" % number
        problem = JsonStrictValidator(version).validate_str(json.dumps(value))
        assert problem is None, problem
        wrong = copy.deepcopy(value)
        wrong["metadata"]["component"]["type"] = "machine-learning"
        assert JsonStrictValidator(version).validate_str(json.dumps(wrong)) is not None, "the validator accepts anything"
        print("ok   CycloneDX: bom.json has the schema of %d.%d" % number)


# What a card is made of; everything else would come from a name in it.
TAGS = {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "code", "pre"}


def card(name):
    text = read(name)
    data = ModelCard(text).data
    results = data.eval_results or []
    print(f"ok   huggingface_hub: {name}: {data.library_name}, {data.pipeline_tag}, {len(results)} results, the last {results[-1].metric_type} {results[-1].metric_value}")
    body = text.split("\n---\n", 1)[1]
    html = MarkdownIt("gfm-like", {"html": True}).render(body)
    found = set(re.findall(r"<([a-zA-Z][a-zA-Z0-9]*)", html))
    assert found <= TAGS, f"{name}: the card has {found - TAGS}"
    assert html.count("<h1") == 1 and html.count("<h2") == 8, f"{name}: headings"
    print(f"ok   markdown-it: {name}: {html.count('<tr>')} rows, 8 sections, no link and no markup from names")


envelopes()
bom()
card("README.md")
if len(sys.argv) > 3:
    card(sys.argv[3])
