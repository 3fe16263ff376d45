"""Losses and gradients of `hone train explain` against the GRPO loss of TRL, on random groups.

TRL's own `GRPOTrainer._compute_loss` is called, with the log-probabilities as leaves of the graph in place of a model.

    python tests/parity/trl_grpo.py target/release/hone [--groups 1000]
"""

import argparse
import json
import random
import struct
import subprocess
import sys
from collections import defaultdict
from types import SimpleNamespace

import torch
from trl.trainer.grpo_trainer import GRPOTrainer

TOLERANCE = 1e-5
PAD = 64


def f32(x):
    """As the rollouts' record holds it."""
    return struct.unpack("f", struct.pack("f", x))[0]


def variants():
    """A name, what TRL is told, and the same for Hone. TRL adds 1e-4 to a standard deviation."""
    eps = {"eps": 1e-4}
    yield "bnpo, clip .2", {"loss_type": "bnpo"}, {"advantage": eps}
    yield (
        "grpo, clip .2 / .28, KL .04, mean over rows of the mean",
        {"loss_type": "grpo", "high": 0.28, "beta": 0.04},
        {
            "advantage": eps,
            "objective": {
                "clip": {"high": 0.28},
                "kl": {"estimator": "k3", "beta": 0.04},
                "aggregation": {"mode": "seq_mean_token_mean"},
            },
        },
    )
    yield (
        "dapo, two-sided clip 1.5",
        {"loss_type": "dapo", "high": 0.28, "delta": 1.5},
        {"advantage": eps, "objective": {"clip": {"high": 0.28, "dual": 1.5}}},
    )
    yield (
        "dr_grpo, no deviation",
        {"loss_type": "dr_grpo", "scale": False},
        {"advantage": {"scale": "none"}, "objective": {"aggregation": {"mode": "sum_over_pad", "pad": "rows"}}},
    )
    yield (
        "gspo",
        {"loss_type": "grpo", "level": "sequence", "low": 0.1, "high": 0.15},
        {
            "advantage": eps,
            "objective": {
                "ratio": "sequence",
                "clip": {"low": 0.1, "high": 0.15},
                "aggregation": {"mode": "seq_mean_token_mean"},
            },
        },
    )
    yield (
        "bnpo with an entropy bonus",
        {"loss_type": "bnpo", "entropy": 0.01},
        {"advantage": eps, "objective": {"entropy": 0.01}},
    )


def draw(rng, groups):
    """Rollouts of random length, with holes in their masks as tools' answers make them."""
    out = []
    for group in range(groups):
        for sample in range(rng.randint(2, 6)):
            n = rng.randint(1, 24)
            mask = [rng.random() < 0.75 for _ in range(n)]
            mask[rng.randrange(n)] = True
            old = [f32(rng.uniform(-4, -0.01)) for _ in range(n)]
            out.append(
                {
                    "id": f"{group}/{sample}",
                    "group": group,
                    "reward": rng.choice([0.0, 0.5, 1.0, rng.random()]),
                    "mask": mask,
                    "old": old,
                    "ref": [f32(x + rng.uniform(-0.7, 0.7)) for x in old],
                    "now": [x + rng.uniform(-0.6, 0.6) for x in old],
                    "entropy": [rng.uniform(0, 3) for _ in range(n)],
                }
            )
    return out


def theirs(rollouts, how):
    """Loss and gradient by TRL."""
    width = max(len(r["mask"]) for r in rollouts)

    def pad(key):
        rows = [[float(x) for x in r[key]] + [0.0] * (width - len(r[key])) for r in rollouts]
        return torch.tensor(rows, dtype=torch.float64)

    rewards = torch.tensor([r["reward"] for r in rollouts], dtype=torch.float64)
    groups = torch.tensor([r["group"] for r in rollouts])
    advantages = torch.empty_like(rewards)
    for group in groups.unique():
        own = groups == group
        centred = rewards[own] - rewards[own].mean()
        advantages[own] = centred / (rewards[own].std() + 1e-4) if how.get("scale", True) else centred
    now, mask = pad("now").requires_grad_(), pad("mask")
    entropy = pad("entropy")
    trainer = SimpleNamespace(
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level=how.get("level", "token"),
        beta=how.get("beta", 0.0),
        loss_type=how["loss_type"],
        epsilon_low=how.get("low", 0.2),
        epsilon_high=how.get("high", 0.2),
        args=SimpleNamespace(delta=how.get("delta"), use_bias_correction_kl=False),
        use_vllm=False,
        model=SimpleNamespace(training=False),
        current_gradient_accumulation_steps=1,
        max_completion_length=PAD,
        _entropy_bonus_enabled="entropy" in how,
        use_adaptive_entropy=False,
        entropy_coef=how.get("entropy", 0.0),
        accelerator=SimpleNamespace(
            num_processes=1,
            sync_gradients=True,
            gather=lambda x: x,
            gather_for_metrics=lambda x: x,
            reduce=lambda x, reduction: x,
        ),
        _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *args, **kwargs: (now, entropy, None),
    )
    none = torch.zeros(len(rollouts), 0, dtype=torch.long)
    inputs = {
        "prompt_ids": none,
        "prompt_mask": none,
        "completion_ids": torch.zeros(len(rollouts), width, dtype=torch.long),
        "completion_mask": mask,
        "advantages": advantages,
        "old_per_token_logps": pad("old"),
        "ref_per_token_logps": pad("ref"),
        "num_items_in_batch": mask.sum(),
    }
    loss = GRPOTrainer._compute_loss(trainer, None, inputs)
    loss.backward()
    return loss.item(), now.grad


def ours(hone, rollouts, settings):
    """The same by Hone."""
    settings = json.loads(json.dumps(settings).replace('"rows"', str(PAD * len(rollouts))))
    settings["select"] = {"drop_equal": False}
    given = {
        "preset": "grpo",
        "method": settings,
        "rollouts": [
            {
                "id": r["id"],
                "group": r["group"],
                "reward": r["reward"],
                "rows": [
                    {
                        "ids": list(range(len(r["mask"]))),
                        "mask": r["mask"],
                        "logp_sampler": r["old"],
                        "logp_ref": r["ref"],
                    }
                ],
            }
            for r in rollouts
        ],
        "now": {r["id"]: [{"logp": r["now"], "entropy": r["entropy"]}] for r in rollouts},
    }
    done = subprocess.run(
        [hone, "train", "explain", "-", "--json"], input=json.dumps(given), capture_output=True, text=True
    )
    if done.returncode != 0:
        sys.exit(f"hone train explain failed: {done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hone")
    parser.add_argument("--groups", type=int, default=1000)
    args = parser.parse_args()
    rng = random.Random(0)
    all_variants = list(variants())
    done, worst, clipped, tokens, at = 0, 0.0, 0, 0, 0
    while done < args.groups:
        name, how, settings = all_variants[at % len(all_variants)]
        at += 1
        groups = rng.randint(1, 5)
        rollouts = draw(rng, groups)
        want, gradient = theirs(rollouts, how)
        got = ours(args.hone, rollouts, settings)
        number = {r["id"]: i for i, r in enumerate(rollouts)}
        errors = [abs(got["loss"] - want)]
        for token in got["tokens"]:
            errors.append(abs(token["grad"] - gradient[number[token["rollout"]], token["pos"]].item()))
            clipped += token["clip"]
        assert len(got["tokens"]) == sum(sum(r["mask"]) for r in rollouts), name
        assert max(errors) < TOLERANCE, f"{name}: {max(errors)} in batch {at}"
        worst = max(worst, max(errors))
        tokens += len(got["tokens"])
        done += groups
    assert clipped > tokens / 20, f"only {clipped} of {tokens} tokens were clipped"
    print(f"{done} groups, {tokens} tokens ({clipped} clipped), {len(all_variants)} losses of TRL: largest difference {worst:.1e}")


if __name__ == "__main__":
    main()
