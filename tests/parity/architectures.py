"""Do small random checkpoints of each architecture give the same numbers here and in `transformers`?

    .venv/bin/python tests/parity/architectures.py

Needs the PyPI packages of requirements.txt beside this file. `transformers` writes each model: one with every option of
this engine, as float32 or bfloat16, in one file or in shards. Compared:

* log-probabilities of every id of sequences and the logits after them, within 1e-4 (example `logprobs` of hone-engine);
* 200 ids of greedy continuation, equal (example `continue`), with the cache of the sampler against `generate`;
* the same after one training step here, of the model saved here and loaded in `transformers`.

Exit status 0: all agree.
"""

import random
import sys
import tempfile
from pathlib import Path

import torch
from our_examples import ask
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config
from transformers.utils import logging

TOLERANCE = 1e-4
STEPS = 200
VOCAB = 320

SHAPE = dict(vocab_size=VOCAB, hidden_size=72, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
             intermediate_size=100, max_position_embeddings=512, rms_norm_eps=1e-5,
             bos_token_id=None, eos_token_id=None, pad_token_id=None)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
MODELS = {
    "llama: llama3 scaling, untied, wide heads": (
        LlamaConfig(**SHAPE, head_dim=20, rope_parameters=LLAMA3, tie_word_embeddings=False), torch.float32, "10GB"),
    "llama: linear scaling, tied, bfloat16 in shards": (
        LlamaConfig(**SHAPE, rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0},
                    tie_word_embeddings=True), torch.bfloat16, "100KB"),
    "qwen2: untied, float16 in shards": (
        Qwen2Config(**SHAPE, rope_parameters={"rope_type": "default", "rope_theta": 1e6}, tie_word_embeddings=False),
        torch.float16, "100KB"),
    "qwen3: tied": (Qwen3Config(**SHAPE, head_dim=20, rope_parameters={"rope_type": "default", "rope_theta": 1e6},
                                tie_word_embeddings=True), torch.float32, "10GB"),
    "qwen3: untied, bfloat16": (
        Qwen3Config(**SHAPE, head_dim=32, rope_parameters={"rope_type": "default", "rope_theta": 1e4},
                    tie_word_embeddings=False), torch.bfloat16, "10GB"),
}


def load(folder: Path):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def greedy(model, ids: list) -> list:
    with torch.no_grad():
        out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                             max_new_tokens=STEPS)
    return out[0, len(ids):].tolist()


def numbers(folder: Path, rows: list) -> float:
    model, worst = load(folder), 0.0
    for ids, ours in zip(rows, ask("hone-engine", "logprobs", [folder], rows)):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        theirs = logits[:-1].log_softmax(-1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]
        worst = max(worst, (theirs - torch.tensor(ours["logprobs"])).abs().max().item(),
                    (logits[-1] - torch.tensor(ours["logits"])).abs().max().item())
    return worst


def main() -> int:
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    rng = random.Random(3)
    rows = [[rng.randrange(VOCAB) for _ in range(n)] for n in (2, 17, 64, 150, 300)]
    prompts = [row[:40] for row in rows[1:4]]
    bad = 0
    for seed, (name, (config, dtype, shard)) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        with tempfile.TemporaryDirectory() as place:
            folder, stepped = Path(place) / "model", Path(place) / "stepped"
            model = AutoModelForCausalLM.from_config(config)
            with torch.no_grad():  # biases and gains too, and far enough from zero that greedy choices differ
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.1)
            model.to(dtype).save_pretrained(folder, max_shard_size=shard)
            assert (shard == "100KB") == (folder / "model.safetensors.index.json").exists()
            worst = numbers(folder, rows)
            same = ask("hone-engine", "continue", [folder, STEPS], prompts) == [greedy(load(folder), ids) for ids in prompts]
            after = ask("hone-engine", "continue", [folder, STEPS, stepped], prompts)
            assert type(load(stepped)) is type(model)
            trained = after == [greedy(load(stepped), ids) for ids in prompts]
            drift = numbers(stepped, rows)
        ok = worst <= TOLERANCE and drift <= TOLERANCE and same and trained
        bad += not ok
        print(f"{name}: numbers differ by at most {worst:.1e}, after a step by {drift:.1e}; greedy ids "
              f"{'equal' if same else 'DIFFER'}, after a step {'equal' if trained else 'DIFFER'}")
    return bad


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
