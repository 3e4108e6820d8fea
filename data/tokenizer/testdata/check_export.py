"""Trains vocabularies with temper, loads its files with tokenizers and transformers, and compares ids.

    pip install tokenizers==0.23.3 transformers
    python data/tokenizer/testdata/check_export.py       # from the root of the repository; needs go
"""

import json
import pathlib
import subprocess
import tempfile

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

ROOT = pathlib.Path(__file__).parents[3]


def run(*args, text=None):
    return subprocess.run(args, input=text, check=True, capture_output=True, cwd=ROOT).stdout


def main():
    with tempfile.TemporaryDirectory() as tmp:
        program = f"{tmp}/temper"
        run("go", "build", "-o", program, "./cmd/temper")
        text = run("go", "run", "./data/tokenizer/testdata/mixed", "2000", "2002")
        sample = run("go", "run", "./data/tokenizer/testdata/mixed", "2002", "2003")
        for kind in ["deepseek", "gpt2", "llama3", "qwen2"]:
            out = f"{tmp}/{kind}"
            run(program, "tokenizer", "train", "-", "--vocab-size", "1500", "--pre-tokenizer", kind, "--max-length", "4096", "--out", out, text=text)
            theirs = Tokenizer.from_file(f"{out}/tokenizer.json")
            fast = PreTrainedTokenizerFast.from_pretrained(out)
            assert fast.bos_token_id == 0 and fast.eos_token_id == 1 and fast.pad_token_id == 1 and fast.model_max_length == 4096
            ours = json.loads(run(program, "tokenizer", "encode", out, "--special", "--json", text=sample))["ids"]
            want = theirs.encode(sample.decode(), add_special_tokens=False).ids
            assert ours == want, f"{kind}: ids differ from tokenizers"
            assert ours == fast(sample.decode(), add_special_tokens=False)["input_ids"], f"{kind}: ids differ from transformers"
            again = run(program, "tokenizer", "decode", out, text=json.dumps(ours).encode())
            assert again.decode() == theirs.decode(ours, skip_special_tokens=False) == sample.decode(), f"{kind}: text differs"
            print(f"{kind}: {len(ours)} ids equal")


if __name__ == "__main__":
    main()
