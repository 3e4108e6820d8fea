"""Makes the tokenizers under testdata/*.json and testdata/expected.json with Hugging Face tokenizers.

    pip install tokenizers==0.23.3
    python data/tokenizer/testdata/make_fixtures.py      # from the root of the repository; needs go

No published vocabulary is used: each small tokenizer is trained here on the mixed text of package
tokenizertest. expected.json holds, per tokenizer and 64 KB block of that text, the number of ids and
the SHA-256 of the ids as little-endian int32, once with added tokens taken for tokens ("allow", the
library's default) and once with control tokens taken for text ("deny": the same file without them);
the ids of some short probes; texts decoded from ids; and the pieces of single pre-tokenizers.
With TEMPER_DATA set it also holds digests of vocabularies trained on real text.
"""

import hashlib
import json
import os
import pathlib
import struct
import subprocess
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
BLOCKS = 16  # compared by the four main tokenizers, 1 MB
FEW = 3  # compared by the others
TRAIN_FIRST, TRAIN_END = 1000, 1004

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = "|".join(
    [
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
        r"""\p{N}{1,3}""",
        r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
        r"""\s*[\r\n]+""",
        r"""\s+(?!\S)""",
        r"""\s+""",
    ]
)
POSSESSIVE = r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s""".replace(r"\p{N}{1,3}+", r"\p{N}{1,3}")
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
DEEPSEEK = [
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]
V4 = [
    ("<｜begin▁of▁sentence｜>", True), ("<｜end▁of▁sentence｜>", True), ("<｜▁pad▁｜>", True),
    ("<｜User｜>", False), ("<｜Assistant｜>", False), ("<think>", False), ("</think>", False), ("｜DSML｜", False),
    ("<｜latest_reminder｜>", False), ("<｜action｜>", False), ("<｜query｜>", False), ("<｜authority｜>", False),
    ("<｜domain｜>", False), ("<｜title｜>", False), ("<｜read_url｜>", False), ("<|EOT|>", True),
    ("<｜fim▁hole｜>", False), ("<｜fim▁begin｜>", False), ("<｜fim▁end｜>", False),
]  # fmt: skip

PROBES = [
    "", " ", "\n", "Hello, world!", "How many eggs does she sell?  I'LL tell\tyou'ſ.", "1234567890 3.14159 ²³¼ Ⅷ٣",
    "中文测试，日本語カタカナ・ひらがなー。", "a<think>b</think>c<|endoftext|>d  <mark>  e", "<｜User｜>hi<｜Assistant｜></think>",
    "e\u0301 Å \u212B ﬁ ½ ㌀ 각 \u1112\u1161\u11ab", "x\u00A0y\u3000z\u200B\u0085\u2028", "\x00\x01a\x02\x02\x02b\x7f", "quick the unquick quick",
    "👨‍👩‍👧‍👦🇩🇪🏳️‍🌈", "ABC İSTANBUL ẞ Σς", "a" * 257, "foo( )  \n \n\n  bar\r\n\r\n", "#### 42\n",
]  # fmt: skip


def mixed(first, end):
    command = ["go", "run", "./data/tokenizer/testdata/mixed", str(first), str(end)]
    return subprocess.run(command, check=True, capture_output=True, cwd=HERE.parents[2]).stdout.decode()


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level(use_regex=False, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def control(token):
    return token["special"] or any(unicodedata.category(c)[0] in "PS" for c in token["content"])


class Kind:
    """A tokenizer to train, and what to change in its file afterwards."""

    def __init__(self, size, pre, special, *, normalizer=None, post=None, decoder=None, added=(), model=None, alphabet=True, edit=None, blocks=FEW, suffix=None):
        self.size, self.pre, self.special, self.normalizer, self.post = size, pre, special, normalizer, post
        self.decoder = decoder or decoders.ByteLevel()
        self.added, self.model, self.alphabet, self.edit, self.blocks, self.suffix = added, model or {}, alphabet, edit, blocks, suffix


def sequence(*stages):
    return pre_tokenizers.Sequence(list(stages))


MARKS = [AddedToken("quick", single_word=True, normalized=False), AddedToken("e\u0301 Å", normalized=True), AddedToken("<mark>", lstrip=True, rstrip=True, normalized=False)]
KINDS = {
    "gpt2": Kind(2000, byte_level(True), ["<|endoftext|>"], blocks=BLOCKS),
    "llama3": Kind(2000, sequence(split(LLAMA3), byte_level()), ["<|begin_of_text|>", "<|endoftext|>"], blocks=BLOCKS, added=MARKS,
        post=lambda t: processors.Sequence([processors.ByteLevel(), processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B:1", special_tokens=[("<|begin_of_text|>", 0)])]),
        edit=lambda f: f["model"].update(ignore_merges=True)),
    "qwen2": Kind(1000, sequence(split(QWEN2), byte_level()), ["<|endoftext|>"], normalizer=normalizers.NFC(), blocks=BLOCKS),
    "deepseek": Kind(2000, sequence(*map(split, DEEPSEEK), byte_level()), [c for c, _ in V4], blocks=BLOCKS,
        edit=lambda f: [a.update(special=dict(V4)[a["content"]]) for a in f["added_tokens"]]),
    "o200k": Kind(500, sequence(split(O200K), byte_level()), ["<|endoftext|>"]),
    "possessive": Kind(500, sequence(split(POSSESSIVE), byte_level()), ["<|endoftext|>"]),
    "falcon": Kind(500, sequence(pre_tokenizers.Punctuation("contiguous"), byte_level(), pre_tokenizers.Digits(False), split("[0-9][0-9][0-9]")), ["<|endoftext|>"]),
    "starcoder": Kind(500, sequence(pre_tokenizers.Digits(True), byte_level(True)), ["<|endoftext|>"]),
    "roberta": Kind(500, byte_level(True, True), ["<s>", "</s>", "<mask>"], post=lambda t: processors.RobertaProcessing(("</s>", 1), ("<s>", 0))),
    "clip": Kind(800, sequence(pre_tokenizers.Split(Regex(CLIP), "removed", invert=True), byte_level()), ["<|startoftext|>", "<|endoftext|>"], suffix="</w>",
        normalizer=normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])),
    "nfkd": Kind(500, sequence(pre_tokenizers.WhitespaceSplit(), byte_level(True)), ["<s>"], normalizer=normalizers.Sequence([normalizers.NFKD(), normalizers.Strip()])),
    "nfkc": Kind(500, sequence(pre_tokenizers.Whitespace(), byte_level(False)), ["<s>"], normalizer=normalizers.NFKC()),
    "llama2": Kind(800, None, ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)], alphabet=False, model=dict(unk_token="<unk>", fuse_unk=True, byte_fallback=True),
        normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        decoder=decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
        edit=lambda f: f.update(added_tokens=f["added_tokens"][:3])),
    "unknown": Kind(300, pre_tokenizers.WhitespaceSplit(), ["<unk>"], alphabet=False, model=dict(unk_token="<unk>"), decoder=decoders.Fuse()),
}  # fmt: skip


def train(kind, text):
    t = Tokenizer(models.BPE(**kind.model))
    if kind.pre is not None:
        t.pre_tokenizer = kind.pre
    if kind.normalizer is not None:
        t.normalizer = kind.normalizer
    t.decoder = kind.decoder
    options = dict(vocab_size=kind.size, special_tokens=kind.special, show_progress=False)
    if kind.suffix:
        options.update(end_of_word_suffix=kind.suffix)
    if kind.alphabet:
        options.update(initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    else:
        options.update(limit_alphabet=80, max_token_length=12)
    corpus = [text] if kind.pre is not None else text.split(" ")
    t.train_from_iterator(corpus, trainers.BpeTrainer(**options))
    t.add_tokens(list(kind.added))
    if kind.post:
        t.post_processor = kind.post(t)
    f = json.loads(t.to_str())
    if kind.edit:
        kind.edit(f)
    return f


def digest(ids):
    return {"n": len(ids), "sha256": hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()}


def expectations(f, blocks, texts):
    allow = Tokenizer.from_str(json.dumps(f))
    without = dict(f, added_tokens=[a for a in f["added_tokens"] if not control(a)], post_processor=None)
    deny = Tokenizer.from_str(json.dumps(without))

    def ids(t, text):
        return t.encode(text, add_special_tokens=False).ids

    probes = []
    for text in PROBES:
        encoded = ids(allow, text)
        probes.append(
            {
                "text": text, "allow": encoded, "deny": ids(deny, text),
                "decoded": allow.decode(encoded, skip_special_tokens=False), "skipped": allow.decode(encoded, skip_special_tokens=True),
                "broken": allow.decode(encoded[1::2], skip_special_tokens=False),
            }
        )  # fmt: skip
    full = allow.encode("x").ids
    return {
        "blocks": [{"allow": digest(ids(allow, b)), "deny": digest(ids(deny, b))} for b in texts[:blocks]],
        "probes": probes,
        "encoded_x": full,
    }


SPLITS = [
    {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}
    for pattern in ["[0-9]+", r"\p{L}+", r"\s", "(?=[A-Z])", "^.|.$", "a|ab", r"\w+", r"\W", r"(?<=a)b", r"\x{2028}|[\x{1F600}-\x{1F64F}]", "(?i:the)"]
    for behavior in ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
    for invert in [False, True]
]
SPLITS += [{"type": "Split", "pattern": {"String": s}, "behavior": b, "invert": i} for s in [" ", "aa", "."] for b in ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"] for i in [False, True]]
SPLITS += [{"type": "Punctuation", "behavior": b} for b in ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]]
SPLITS += [{"type": "Digits", "individual_digits": i} for i in [False, True]] + [{"type": "Whitespace"}, {"type": "WhitespaceSplit"}]
SPLIT_TEXTS = ["", "a", "aaab ab 12 34.5..6", "The  quickBrown\nFox's 3²  the", "\n\nab\u2028😀😁 _x_ é e\u0301!?", "...", " a  b ", "abAB aaa.aaaa"]


def pieces(stage):
    base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "post_processor": None, "decoder": None}
    t = Tokenizer.from_str(json.dumps({**base, "pre_tokenizer": stage, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}))
    return [[p for p, _ in t.pre_tokenizer.pre_tokenize_str(text)] for text in SPLIT_TEXTS]


def trained(data, name, size, min_frequency):
    """What BpeTrainer makes of two files of real text: the SHA-256 of the tokens and the merges, a line each."""
    texts = [(pathlib.Path(data) / f).read_bytes().decode() for f in ("tinyshakespeare.txt", "gsm8k_train.jsonl")]
    kind = KINDS[name]
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = kind.pre
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, min_frequency=min_frequency, special_tokens=kind.special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    model = json.loads(t.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    text = "".join(f"{x}\n" for x in tokens) + "".join(f"{a} {b}\n" for a, b in model["merges"])
    return {"pre_tokenizer": name, "vocab_size": size, "min_frequency": min_frequency, "special": kind.special, "tokens": len(tokens), "merges": len(model["merges"]), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def lines(v, depth):
    """JSON with line breaks down to the given depth."""
    if depth == 0 or not isinstance(v, (dict, list)):
        return json.dumps(v, ensure_ascii=False, separators=(",", ":"))
    if isinstance(v, list):
        return "[\n" + ",\n".join(lines(x, depth - 1) for x in v) + "\n]"
    return "{\n" + ",\n".join(json.dumps(k) + ": " + lines(x, depth - 1) for k, x in v.items()) + "\n}"


def main():
    texts = [mixed(b, b + 1) for b in range(BLOCKS)]
    corpus = mixed(TRAIN_FIRST, TRAIN_END)
    out = {"tokenizers": {}, "split_texts": SPLIT_TEXTS, "splits": [{"stage": s, "pieces": pieces(s)} for s in SPLITS]}
    for name, kind in KINDS.items():
        f = train(kind, corpus)
        (HERE / f"{name}.json").write_text(json.dumps(f, ensure_ascii=False, separators=(",", ":")) + "\n")
        out["tokenizers"][name] = expectations(f, kind.blocks, texts)
    if data := os.environ.get("TEMPER_DATA"):
        out["trained"] = [trained(data, *case) for case in [("gpt2", 8192, 0), ("deepseek", 4096, 3), ("llama3", 6000, 2), ("qwen2", 20000, 0)]]
    (HERE / "expected.json").write_text(lines(out, 4) + "\n")


if __name__ == "__main__":
    main()
