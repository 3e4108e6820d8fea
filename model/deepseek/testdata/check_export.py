"""Loads a model directory the way any user of transformers would, and prints what PyTorch makes of it in float64, as JSON.

    python check_export.py DIRECTORY TOKENS.json

TOKENS.json is a list of ids: one sequence. The output has "logp", the log-probability of each next token, and "probes", for every
tensor that their negative sum has a gradient for, what make_goldens.py's probe() makes of it. Run by the test that
TEMPER_PYTHON turns on.
"""

import json
import pathlib
import sys

import make_goldens as models
import torch
from transformers import AutoModelForCausalLM

models.float64_only()
directory = pathlib.Path(sys.argv[1])
tokens = torch.tensor([json.loads(pathlib.Path(sys.argv[2]).read_text())])
model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float64, attn_implementation="eager",
                                             experts_implementation="eager").double()
config = json.loads((directory / "config.json").read_text())
with models.NoFloat32():
    logits = model(input_ids=tokens, use_cache=False).logits[0, :-1]
    logp = torch.log_softmax(logits, -1).gather(1, tokens[0, 1:, None])[:, 0]
    (-logp.sum()).backward()
names = models.v4_names(config) if config["model_type"] == "deepseek_v4" else models.v3_names(config)
probes = {}
for name, where in names.items():
    if where[0].startswith("mtp."):
        continue
    x, index = models.locate(model, where)
    if x.requires_grad and x.grad is not None:
        probes[name] = models.probe(models.part(x.grad, index)).tolist()
json.dump({"logp": logp.tolist(), "probes": probes}, sys.stdout)
