"""Do adapters give the same numbers, gradients and files here and in PEFT?

    .venv/bin/python tests/parity/lora_peft.py

Needs the PyPI packages of requirements.txt beside this file, and `peft` with `accelerate`. `transformers` writes small random
models of each architecture and PEFT an adapter for each, with `B` off its initial zeros. Compared:

* log-probabilities and logits with the adapter, within 1e-4 (example `logprobs` of hone-engine);
* the gradient of the mean cross-entropy of a batch, each tensor within 1e-4 of its largest number (example `adapter`);
* the adapter after an AdamW step here, loaded in PEFT, and merged here, loaded in `transformers`, against the same here.

Exit status 0: all agree.
"""

import random
import sys
import tempfile
from pathlib import Path

import torch
from architectures import LLAMA3, SHAPE, TOLERANCE, VOCAB, load
from our_examples import ask, run
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config
from transformers.utils import logging

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ROPE = {"rope_type": "default", "rope_theta": 1e4}
CASES = {
    "llama, all matrices": (LlamaConfig(**SHAPE, head_dim=20, rope_parameters=LLAMA3, tie_word_embeddings=False),
                            dict(r=4, lora_alpha=8, target_modules=ALL)),
    "qwen2, queries and values": (Qwen2Config(**SHAPE, rope_parameters=ROPE, tie_word_embeddings=True),
                                  dict(r=8, lora_alpha=4, target_modules=["q_proj", "v_proj"])),
    "qwen3, keys, output and feed-forward": (
        Qwen3Config(**SHAPE, head_dim=20, rope_parameters=ROPE, tie_word_embeddings=True),
        dict(r=3, lora_alpha=7, target_modules=["k_proj", "o_proj", "gate_proj", "down_proj"])),
}


def gap(model, rows: list, ours: list) -> float:
    worst = 0.0
    for ids, our in zip(rows, ours):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        theirs = logits[:-1].log_softmax(-1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]
        worst = max(worst, (theirs - torch.tensor(our["logprobs"])).abs().max().item(),
                    (logits[-1] - torch.tensor(our["logits"])).abs().max().item())
    return worst


def gradient_gap(model, rows: list, file: Path) -> float:
    total, tokens = 0.0, sum(len(ids) - 1 for ids in rows)
    for ids in rows:
        logits = model(torch.tensor([ids])).logits[0, :-1]
        total = total + torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum")
    (total / tokens).backward()
    ours, worst, seen = load_file(file), 0.0, 0
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            continue
        our = ours[name.replace(".default", "")]
        worst = max(worst, ((our - parameter.grad).abs().max() / parameter.grad.abs().max()).item())
        seen += 1
    assert seen == len(ours) > 0, f"{seen} gradients there, {len(ours)} here"
    return worst


def main() -> int:
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    rng = random.Random(5)
    rows = [[rng.randrange(VOCAB) for _ in range(n)] for n in (2, 17, 64, 150, 300)]
    bad = 0
    for seed, (name, (config, lora)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        with tempfile.TemporaryDirectory() as place:
            base, adapter, out = (Path(place) / part for part in ("base", "adapter", "out"))
            AutoModelForCausalLM.from_config(config).save_pretrained(base)
            model = get_peft_model(load(base), LoraConfig(task_type="CAUSAL_LM", **lora))
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.requires_grad:
                        parameter.add_(torch.randn_like(parameter) * 0.05)
            model.save_pretrained(adapter)
            worst = gap(model, rows, ask("hone-engine", "logprobs", [base, adapter], rows))
            run("hone-engine", "adapter", [base, adapter, out], rows)
            gradients = gradient_gap(model, rows, out / "gradient" / "adapter_model.safetensors")
            stepped = gap(PeftModel.from_pretrained(load(base), out / "stepped").eval(), rows,
                          ask("hone-engine", "logprobs", [base, out / "stepped"], rows))
            merged = gap(load(out / "merged"), rows, ask("hone-engine", "logprobs", [out / "merged"], rows))
        ok = max(worst, gradients, stepped, merged) <= TOLERANCE
        bad += not ok
        print(f"{name}: numbers differ by at most {worst:.1e}, gradients by {gradients:.1e} of their largest, numbers after a "
              f"step by {stepped:.1e}, merged by {merged:.1e}")
    return bad


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
