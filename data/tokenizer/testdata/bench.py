"""Encodes gsm8k_train.jsonl, line by line, with temper and with Hugging Face tokenizers, one thread each, in turn.

    pip install tokenizers==0.23.3
    TEMPER_DATA=... python data/tokenizer/testdata/bench.py [ROUNDS]     # from the root of the repository

Both load the same tokenizer.json, both are warm, both are measured in processor time of the process; the
best of the rounds counts. Prints MB/s and the ratio.
"""

import os
import pathlib
import re
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

HERE = pathlib.Path(__file__).parent
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
NAMES = ["gpt2", "llama3", "deepseek"]


def theirs(name, lines, size):
    t = Tokenizer.from_file(str(HERE / f"{name}.json"))
    t.encode_batch_fast(lines, add_special_tokens=False)
    start = time.process_time()
    t.encode_batch_fast(lines, add_special_tokens=False)
    return size / 1e6 / (time.process_time() - start)


def ours():
    command = ["go", "test", "-run", "xxx", "-cpu", "1", "-bench", "BenchmarkEncode/.*/gsm8k", "./data/tokenizer"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {m[1]: float(m[2]) for m in re.finditer(r"BenchmarkEncode/(\w+)/gsm8k.*?([\d.]+) cpu-MB/s", out)}


def main():
    data = (pathlib.Path(os.environ["TEMPER_DATA"]) / "gsm8k_train.jsonl").read_bytes()
    lines = data.decode().splitlines(keepends=True)
    best = {name: [0.0, 0.0] for name in NAMES}
    for _ in range(ROUNDS):
        for name in NAMES:
            best[name][1] = max(best[name][1], theirs(name, lines, len(data)))
        for name, rate in ours().items():
            best[name][0] = max(best[name][0], rate)
    for name, (go, hf) in best.items():
        print(f"{name:10} temper {go:6.1f} MB/s   tokenizers {hf:6.2f} MB/s   ratio {go / hf:5.1f}")


if __name__ == "__main__":
    main()
