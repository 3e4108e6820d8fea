"""The trace format in Python, from docs/trace.md alone: writes golden.jsonl.

Run: python3 reference.py > golden.jsonl
"""

import hashlib
import json
import struct


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def tensor(words):
    """tensor(t) of docs/digests.md with every block covered; words are the values' bits."""
    blocks = [words[i : i + 1024] for i in range(0, len(words), 1024)]
    return sha(b"temper-tensor/1\n", *(sha(struct.pack("<%dI" % len(b), *b)) for b in blocks))


def fill(n, x):
    """n words from a small linear congruence."""
    out = []
    for _ in range(n):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append(x)
    return out


def root(leaves):
    """RFC 6962, section 2.1, word for word."""
    if len(leaves) == 1:
        return sha(b"\0", leaves[0])
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha(b"\1", root(leaves[:k]), root(leaves[k:]))


def text(x):
    return json.dumps(x, sort_keys=True, separators=(",", ":")).encode()


def name(digest):
    return "sha256:" + digest.hex()


header = {
    "format": "temper-trace/1", "run": "golden", "manifest": name(sha(b"manifest")), "stage": 1, "step": 41,
    "program": "v1.2.3", "path": "avx2", "threads": 4,
}  # fmt: skip
entries = []
for i, (where, layer, row, what, kind, size) in enumerate([
    ("state", -1, -1, "settings", "I32", 6),
    ("state", 0, -1, "layers.0.attn.wq_a.weight", "F32", 2500),
    ("forward", -1, 0, "data.tokens", "I32", 7),
    ("forward", 3, 0, "attention.q", "F32", 1024),
    ("backward", 3, 0, "attention.q", "F32", 1025),
    ("forward", -1, 7, "data.tokens", "I32", 1),
    ("gradient", -1, -1, "norm", "I32", 3),
    ("update", 0, -1, "first/layers.0.attn.wq_a.weight", "F32", 2500),
]):
    entries.append(text({
        "pass": where, "layer": layer, "row": row, "name": what, "type": kind, "size": size,
        "digest": name(tensor(fill(size, i))),
    }))  # fmt: skip
footer = {"operators": len(entries), "root": name(root(entries))}
for line in [text(header), *entries, text(footer)]:
    print(line.decode())
