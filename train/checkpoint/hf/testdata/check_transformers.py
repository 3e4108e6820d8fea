"""Holds temper's model directories to the transformers library, in both directions.

    python -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0
    go build -o temper ./cmd/temper
    venv/bin/python train/checkpoint/hf/testdata/check_transformers.py ./temper

For the small models under model/deepseek/testdata it demands that

1. transformers loads what temper writes in published names, every tensor equal;
2. what temper writes in transformers' names is the state dictionary, tensor by tensor;
3. temper reads what transformers saves, config and weights, every tensor equal.

MTP tensors are ignored by transformers and left out of the comparison. Exits with 1 on the first difference.
"""

import glob
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

MODELS = pathlib.Path(__file__).parents[4] / "model" / "deepseek" / "testdata"


def tensors(directory):
    out = {}
    for path in glob.glob(f"{directory}/*.safetensors"):
        out.update(load_file(path))
    return out


def main():
    temper = sys.argv[1]
    for name in ("tiny-v4", "tiny-v3"):
        with tempfile.TemporaryDirectory() as tmp:
            for names in ("deepseek", "transformers"):
                subprocess.run(
                    [temper, "model", "convert", MODELS / name, f"{tmp}/{names}", "--names", names, "--dtype", "f32", "--shard", "50KB"], check=True
                )
            model = AutoModelForCausalLM.from_pretrained(f"{tmp}/deepseek", dtype=torch.float32)
            state = model.state_dict()
            written = tensors(f"{tmp}/transformers")
            missing = [k for k in state if k not in written]
            assert not missing, f"{name}: not written: {missing}"
            different = [k for k in state if not torch.equal(state[k].float(), written[k].float())]
            assert not different, f"{name}: different: {different}"

            model.save_pretrained(f"{tmp}/saved")
            diff = subprocess.run([temper, "model", "diff", f"{tmp}/deepseek", f"{tmp}/saved", "--json"], capture_output=True, text=True)
            report = json.loads(diff.stdout)
            wrong = [d for d in report["differences"] if "missing from the second" not in d.get("problem", "")]
            assert not wrong, f"{name}: read differently: {wrong}"
            layers = json.loads((MODELS / name / "config.json").read_text())["num_hidden_layers"]
            lost = [d["name"] for d in report["differences"] if not d["name"].startswith(("mtp.", f"model.layers.{layers}."))]
            assert not lost, f"{name}: lost: {lost}"
            print(f"{name}: {len(state)} tensors equal in three directions")


if __name__ == "__main__":
    main()
