"""Writes ../decompositions.txt and ../classes.txt.

    pip install tokenizers==0.23.3
    python make_tables.py

The decompositions are those of Hugging Face tokenizers, whose Unicode version is older than that of its
regular expressions; combining classes are from Python's Unicode database.
"""

import pathlib
import unicodedata

import tokenizers
from tokenizers import normalizers

OUT = pathlib.Path(__file__).parent.parent
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF and not 0xAC00 <= c <= 0xD7A3]
NFC, NFD, NFKD = normalizers.NFC(), normalizers.NFD(), normalizers.NFKD()


def points(s):
    return " ".join(f"{ord(c):X}" for c in s)


lines = []
for c in map(chr, CODE_POINTS):
    canonical = NFD.normalize_str(c)
    compatible = NFKD.normalize_str(c)
    if canonical != c:
        lines.append(f"{points(c)}{'=' if NFC.normalize_str(canonical) == c else ':'}{points(canonical)}")
    if compatible != canonical:
        lines.append(f"{points(c)}~{points(compatible)}")
head = f"# made by testdata/make_tables.py with tokenizers {tokenizers.__version__}\n"
(OUT / "decompositions.txt").write_text(head + "\n".join(lines) + "\n")

ranges = []
for c in CODE_POINTS:
    n = unicodedata.combining(chr(c))
    if n == 0:
        continue
    if ranges and ranges[-1][0] == n and ranges[-1][2] == c - 1:
        ranges[-1][2] = c
    else:
        ranges.append([n, c, c])
head = f"# made by testdata/make_tables.py, Unicode {unicodedata.unidata_version}\n"
(OUT / "classes.txt").write_text(head + "".join(f"{n} {lo:X} {hi:X}\n" for n, lo, hi in ranges))

lower = normalizers.Lowercase()
lines = [f"{points(c)}={points(lower.normalize_str(c))}" for c in map(chr, CODE_POINTS) if lower.normalize_str(c) != c]
head = f"# made by testdata/make_tables.py with tokenizers {tokenizers.__version__}\n"
(OUT / "lowercase.txt").write_text(head + "\n".join(lines) + "\n")
