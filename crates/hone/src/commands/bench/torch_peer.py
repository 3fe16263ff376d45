"""The peer of `hone bench engine`: the same model and the same work in PyTorch (eager mode, SDPA, fused AdamW).

usage: python torch_peer.py train|sample DIR

DIR holds config.json and model.safetensors (a Qwen2 checkpoint) and job.json. Prints one JSON object.
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F


def read_safetensors(path):
    """Tensors of a safetensors file of float32: u64 length, JSON header, data."""
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        a, b = entry["data_offsets"]
        flat = torch.frombuffer(data, dtype=torch.float32, offset=start + a, count=(b - a) // 4)
        tensors[name] = flat.reshape(entry["shape"]).clone()
    return tensors


class Model:
    """RMSNorm, RoPE (half-split), grouped-query attention with bias, SwiGLU, tied embedding; q/k/v and gate/up joined."""

    def __init__(self, dir):
        c = json.loads((dir / "config.json").read_text())
        t = read_safetensors(dir / "model.safetensors")
        self.heads, self.kv_heads, self.hd = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        self.width, self.eps = c["hidden_size"], c["rms_norm_eps"]
        parameter = lambda *names: torch.nn.Parameter(torch.cat([t[n] for n in names]))
        self.embed = parameter("model.embed_tokens.weight")
        self.norm = parameter("model.norm.weight")
        self.blocks = []
        for i in range(c["num_hidden_layers"]):
            at = f"model.layers.{i}."
            self.blocks.append({
                "norm1": parameter(at + "input_layernorm.weight"),
                "qkv": parameter(*(f"{at}self_attn.{x}_proj.weight" for x in "qkv")),
                "bias": parameter(*(f"{at}self_attn.{x}_proj.bias" for x in "qkv")),
                "out": parameter(at + "self_attn.o_proj.weight"),
                "norm2": parameter(at + "post_attention_layernorm.weight"),
                "gate_up": parameter(at + "mlp.gate_proj.weight", at + "mlp.up_proj.weight"),
                "down": parameter(at + "mlp.down_proj.weight"),
            })
        half = self.hd // 2
        angles = torch.arange(c["max_position_embeddings"], dtype=torch.float64)[:, None] * (
            float(c["rope_theta"]) ** (-torch.arange(half, dtype=torch.float64) / half)
        )
        self.cos, self.sin = angles.cos().float(), angles.sin().float()

    def parameters(self):
        return [self.embed, self.norm] + [p for block in self.blocks for p in block.values()]

    def rotate(self, x, at):
        """x: [batch, heads, positions, head_dim], the first of them at position `at`."""
        cos, sin = self.cos[at : at + x.shape[2]], self.sin[at : at + x.shape[2]]
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    def forward(self, ids, cache=None, at=0, last=False):
        """Logits [batch, positions, vocab] of ids [batch, positions] that follow `at` cached positions."""
        batch, n = ids.shape
        x = F.embedding(ids, self.embed)
        for index, block in enumerate(self.blocks):
            h = F.rms_norm(x, (self.width,), block["norm1"], self.eps)
            qkv = F.linear(h, block["qkv"], block["bias"]).view(batch, n, -1, self.hd).transpose(1, 2)
            q, k, v = qkv.split((self.heads, self.kv_heads, self.kv_heads), 1)
            q, k = self.rotate(q, at), self.rotate(k, at)
            if cache is not None:
                keys, values = cache[index]
                keys[:, :, at : at + n], values[:, :, at : at + n] = k, v
            if cache is None or at == 0:
                ctx = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            else:
                # One position: the query heads of a group are the rows that attend to its keys.
                assert n == 1
                q = q.reshape(batch, self.kv_heads, self.heads // self.kv_heads, self.hd)
                ctx = F.scaled_dot_product_attention(q, keys[:, :, : at + 1], values[:, :, : at + 1])
                ctx = ctx.reshape(batch, self.heads, 1, self.hd)
            x = x + F.linear(ctx.transpose(1, 2).reshape(batch, n, -1), block["out"])
            h = F.rms_norm(x, (self.width,), block["norm2"], self.eps)
            gate, up = F.linear(h, block["gate_up"]).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, block["down"])
        if last:
            x = x[:, -1:]
        return F.linear(F.rms_norm(x, (self.width,), self.norm, self.eps), self.embed)

    def cache(self, batch, length):
        empty = lambda: torch.zeros(batch, self.kv_heads, length, self.hd)
        return [(empty(), empty()) for _ in self.blocks]


def train(model, job):
    ids = torch.tensor(job["ids"])
    inputs, targets = ids[:, :-1].contiguous(), ids[:, 1:].reshape(-1)
    a = job["adamw"]
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": a["weight_decay"]}, {"params": others, "weight_decay": 0.0}],
        lr=job["lr"], betas=(a["beta1"], a["beta2"]), eps=a["eps"], fused=True,
    )
    losses, seconds = [], []
    for _ in range(job["steps"]):
        clock = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model.forward(inputs).flatten(0, 1), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - clock)
    return {"losses": losses, "seconds": seconds}


@torch.inference_mode()
def check(model, ids, prompt):
    """Log-probability of the ids after the prompt, fed one by one through the cache."""
    cache, total, at = model.cache(1, len(ids)), 0.0, 0
    feed = torch.tensor([ids[:prompt]])
    for following in ids[prompt:]:
        logp = F.log_softmax(model.forward(feed, cache, at, last=True)[0, -1], -1)
        total += logp[following].item()
        at += feed.shape[1]
        feed = torch.tensor([[following]])
    return total


@torch.inference_mode()
def generate(model, prompts, tokens):
    """Sample at temperature 1, with the log-probability of each token."""
    cache, feed, at = model.cache(prompts.shape[0], prompts.shape[1] + tokens), prompts, 0
    out, logps = [], []
    for _ in range(tokens):
        logp = F.log_softmax(model.forward(feed, cache, at, last=True)[:, -1], -1)
        at += feed.shape[1]
        feed = torch.multinomial(logp.exp(), 1)
        out.append(feed)
        logps.append(logp.gather(1, feed))
    return torch.cat(out, 1).tolist(), torch.cat(logps, 1).tolist()


def sample(model, job):
    prompts = torch.tensor(job["prompts"])
    rates = {}
    for batch in job["batches"]:
        generate(model, prompts[:batch], 8)
        rates[batch] = []
        for _ in range(job["runs"]):
            clock = time.perf_counter()
            generate(model, prompts[:batch], job["tokens"])
            rates[batch].append(batch * job["tokens"] / (time.perf_counter() - clock))
    return {"rates": rates, "check": check(model, job["check"], len(job["prompts"][0]))}


def main():
    what, dir = sys.argv[1], Path(sys.argv[2])
    job = json.loads((dir / "job.json").read_text())
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    result = {"train": train, "sample": sample}[what](Model(dir), job)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result["peak_rss_mb"] = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    result["version"] = torch.__version__
    print(json.dumps(result))


main()
