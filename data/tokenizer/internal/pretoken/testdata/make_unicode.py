"""Writes ../categories.txt: general categories as Hugging Face tokenizers (Oniguruma) sees them.

    pip install tokenizers==0.23.3
    python make_unicode.py

Every code point is put to the library's own regular expressions, so the table follows whatever Unicode
version the library was built with (16.0 for 0.23.3) and not that of the Go tool chain.
"""

import pathlib
import textwrap

import tokenizers
from tokenizers import Regex, pre_tokenizers

TEXT = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF)


def ranges(pattern):
    rest = pre_tokenizers.Split(Regex(pattern + "+"), "removed").pre_tokenize_str(TEXT)
    others = {c for piece, _ in rest for c in piece}
    out = []
    for c in (ord(c) for c in TEXT if c not in others):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return " ".join(f"{lo:X}" if lo == hi else f"{lo:X}-{hi:X}" for lo, hi in out)


names = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co".split()
patterns = {n: rf"\p{{{n}}}" for n in names}
patterns["space"] = r"\s"
with open(pathlib.Path(__file__).parent.parent / "categories.txt", "w") as f:
    f.write(f"# made by testdata/make_unicode.py with tokenizers {tokenizers.__version__}\n")
    for name, pattern in patterns.items():
        for line in textwrap.wrap(ranges(pattern), 110, break_on_hyphens=False):
            f.write(f"{name} {line}\n")
