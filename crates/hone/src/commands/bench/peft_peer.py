"""The peer of `hone bench engine --model smollm2-lora`: the same training step with `transformers` and PEFT (eager mode, SDPA, fused AdamW).

usage: python peft_peer.py train DIR

DIR holds a checkpoint, an adapter in PEFT's layout and job.json. Prints one JSON object.
"""

import json
import resource
import sys
import time
from pathlib import Path

import peft
import torch
import transformers


def train(dir, job):
    base = transformers.AutoModelForCausalLM.from_pretrained(dir, dtype=torch.float32)
    base.config.use_cache = False
    model = peft.PeftModel.from_pretrained(base, dir, is_trainable=True).train()
    ids = torch.tensor(job["ids"])
    inputs, targets = ids[:, :-1].contiguous(), ids[:, 1:].reshape(-1)
    a = job["adamw"]
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=job["lr"], betas=(a["beta1"], a["beta2"]), eps=a["eps"],
                                  weight_decay=a["weight_decay"], fused=True)
    losses, seconds = [], []
    for _ in range(job["steps"]):
        clock = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(input_ids=inputs).logits.flatten(0, 1), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - clock)
    return {"losses": losses, "seconds": seconds}


def main():
    what, dir = sys.argv[1], Path(sys.argv[2])
    assert what == "train", f"{what} is not compared with PEFT"
    transformers.utils.logging.disable_progress_bar()
    job = json.loads((dir / "job.json").read_text())
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    result = train(dir, job)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result["peak_rss_mb"] = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    result["version"] = f"{torch.__version__}, peft {peft.__version__}, transformers {transformers.__version__}"
    print(json.dumps(result))


main()
