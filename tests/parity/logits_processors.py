"""The sampler's distribution against the logits processors of Hugging Face transformers.

    .venv/bin/python tests/parity/logits_processors.py PROGRAM

PROGRAM is the example `processors` of hone-engine. Repetition penalty, temperature, top-k, top-p and min-p, each alone and all
together, on random logits; presence and frequency penalty by OpenAI's formula, which transformers does not have.
"""

import json
import math
import random
import subprocess
import sys

import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

draw = random.Random(7)
cases = []
for at in range(400):
    n = draw.choice([5, 50, 1000])
    settings = {"temperature": 0.7, "top_p": 1.0, "top_k": 0, "max_tokens": 1}
    options = {
        "temperature": lambda: draw.choice([0.3, 0.8, 1.5]),
        "top_k": lambda: draw.randint(1, n),
        "top_p": lambda: draw.uniform(0.05, 0.99),
        "min_p": lambda: draw.uniform(0.001, 0.9),
        "repetition_penalty": lambda: draw.choice([0.8, 1.2, 2.0]),
        "presence_penalty": lambda: draw.uniform(-1, 1),
        "frequency_penalty": lambda: draw.uniform(-1, 1),
    }
    chosen = [name for name in options if draw.random() < 0.4] if at % 2 else [list(options)[at // 2 % len(options)]]
    settings |= {name: options[name]() for name in chosen}
    ids = lambda most: [draw.randrange(n) for _ in range(draw.randint(1, most))]
    logits = [draw.gauss(0, 3) for _ in range(n)]
    cases.append({"logits": logits, "prompt": ids(6), "answer": ids(6), "settings": settings})

lines = "".join(json.dumps(case) + "\n" for case in cases)
out = subprocess.run([sys.argv[1]], input=lines, text=True, capture_output=True, check=True).stdout.splitlines()
assert len(out) == len(cases)
worst = 0.0
for case, line in zip(cases, out):
    settings, logits = case["settings"], torch.tensor([case["logits"]], dtype=torch.float32)
    seen = torch.tensor([case["prompt"] + case["answer"]])
    if settings.get("repetition_penalty", 1.0) != 1.0:
        logits = RepetitionPenaltyLogitsProcessor(settings["repetition_penalty"])(seen, logits)
    for id in set(case["answer"]):
        logits[0, id] -= settings.get("frequency_penalty", 0.0) * case["answer"].count(id) + settings.get("presence_penalty", 0.0)
    warpers = LogitsProcessorList([TemperatureLogitsWarper(settings["temperature"])])
    if settings["top_k"]:
        warpers.append(TopKLogitsWarper(settings["top_k"]))
    if settings["top_p"] < 1:
        warpers.append(TopPLogitsWarper(settings["top_p"]))
    if settings.get("min_p"):
        warpers.append(MinPLogitsWarper(settings["min_p"]))
    want = torch.log_softmax(warpers(seen, logits), -1)[0].tolist()
    for have, value in zip(json.loads(line), want):
        assert (have is None) == math.isinf(value), (settings, have, value)
        if have is not None:
            worst = max(worst, abs(have - value))
assert worst < 1e-4, worst
print(f"{len(cases)} distributions as in transformers; largest difference {worst:.1e}")
