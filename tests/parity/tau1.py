"""Do the worlds of τ-bench (v1) behave as the reference's?

    git clone https://github.com/sierra-research/tau-bench
    pip install pydantic
    cargo build --release -p hone-tau --example tau1
    python3 tests/parity/tau1.py CHECKOUT target/release/examples/tau1 [--seed 0] [--n 400] [--domain retail]

For airline and retail: the gold calls of every task (test, train and dev), and gold calls with random edits (changed,
missing and further arguments, other ids, other tools, other order), each list on fresh data. Every result and the hash of
the data in the end must agree. Nothing else of the reference is run: its users need models. Exit status 0: nothing differs.
"""

import argparse
import collections
import copy
import importlib
import json
import random
import subprocess
import sys
import types
from pathlib import Path


def reference(checkout):
    sys.path.insert(0, str(checkout))
    # The package of environments imports clients of models.
    for name in ("litellm", "tau_bench.envs.user"):
        module = types.ModuleType(name)
        module.completion = module.UserStrategy = module.load_user = None
        sys.modules[name] = module
    for name, path in (("tau_bench.envs", "tau_bench/envs"), ("tau_bench.envs.airline", "tau_bench/envs/airline"), ("tau_bench.envs.retail", "tau_bench/envs/retail")):
        module = types.ModuleType(name)
        module.__path__ = [str(checkout / path)]
        sys.modules[name] = module
    return importlib.import_module


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("example")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--gold", type=int, default=1000, help="reference solutions, of each domain at most")
    parser.add_argument("--domain", choices=["airline", "retail"])
    args = parser.parse_args()
    load = reference(args.checkout)
    import hashlib

    def hashable(item):
        if isinstance(item, dict):
            return tuple((k, hashable(v)) for k, v in sorted(item.items()))
        if isinstance(item, list):
            return tuple(map(hashable, item))
        return item

    counts, differing = collections.Counter(), 0
    for domain in [args.domain] if args.domain else ["airline", "retail"]:
        data = load(f"tau_bench.envs.{domain}.data").load_data()
        tools = {tool.get_info()["function"]["name"]: tool for tool in load(f"tau_bench.envs.{domain}.tools").ALL_TOOLS}
        golds = []
        for split in ("test", "train", "dev"):
            if not (args.checkout / "tau_bench" / "envs" / domain / f"tasks_{split}.py").is_file():
                continue
            module = load(f"tau_bench.envs.{domain}.tasks_{split}")
            tasks = next(v for k, v in vars(module).items() if k.startswith("TASKS"))
            golds += [[{"name": a.name, "kwargs": a.kwargs} for a in task.actions] for task in tasks]
        r = random.Random(args.seed)
        pool = collections.defaultdict(list)
        for call in (call for gold in golds for call in gold):
            for key, value in call["kwargs"].items():
                pool[key].append(value)
        odd = [None, True, 0, -1, 2.5, "", "x", "#W2378156", [], ["x"], {}, {"a": 1}, "gift_card_0000000", "1656367028", [1, None], "pending"]

        def value(key):
            draw = r.random()
            if draw < 0.6 and key in pool:
                return copy.deepcopy(r.choice(pool[key]))
            return copy.deepcopy(r.choice(odd) if draw < 0.8 else r.choice(r.choice(list(pool.values()))))

        def edited(gold):
            calls = copy.deepcopy(gold)
            for _ in range(r.randrange(1, 6)):
                if not calls:
                    break
                at = r.randrange(len(calls))
                call = calls[at]
                kind = r.randrange(6)
                if kind == 0:
                    calls.insert(at, copy.deepcopy(r.choice(calls)))
                elif kind == 1:
                    r.shuffle(calls)
                elif kind in (2, 3) and call["kwargs"]:
                    key = r.choice(list(call["kwargs"]))
                    call["kwargs"][key] = value(key)
                elif kind == 4:
                    if r.random() < 0.5 and call["kwargs"]:
                        call["kwargs"].pop(r.choice(list(call["kwargs"])))
                    else:
                        call["kwargs"][r.choice(["extra", *pool])] = r.choice(odd)
                else:
                    name = r.choice([*tools, "nothing"])
                    keys = tools[name].get_info()["function"]["parameters"]["properties"] if name in tools else ["a"]
                    calls.insert(at, {"name": name, "kwargs": {key: value(key) for key in keys}})
            return [call for call in calls if "self" not in call["kwargs"] and "data" not in call["kwargs"]]

        asked = r.sample(golds, min(args.gold, len(golds))) + [edited(r.choice(golds)) for _ in range(args.n)]
        folder = args.checkout / "tau_bench" / "envs" / domain
        lines = "".join(json.dumps(calls) + "\n" for calls in asked)
        out = subprocess.run([args.example, domain, folder], input=lines, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
        whole = json.dumps(data)
        for calls, line in zip(asked, out, strict=True):
            ours = json.loads(line)
            world = json.loads(whole)
            results = []
            for call in calls:
                if call["name"] not in tools:
                    results.append(f"Unknown action {call['name']}")
                    continue
                try:
                    results.append(tools[call["name"]].invoke(data=world, **copy.deepcopy(call["kwargs"])))
                except Exception as e:
                    results.append(f"Error: {e}")
            theirs = {"results": results, "hash": hashlib.sha256(str(hashable(world)).encode()).hexdigest()}
            counts[f"{domain}: lists of calls"] += 1
            counts[f"{domain}: calls"] += len(calls)
            counts[f"{domain}: errors"] += sum(str(result).startswith("Error") for result in results)
            for call, a, b in zip(calls, results, ours["results"], strict=True):
                if a != b:
                    differing += 1
                    if differing <= 20:
                        print(f"{domain} {json.dumps(call)[:600]}\n  reference: {str(a)[:500]}\n  hone:      {b[:500]}")
                    break
            else:
                if theirs["hash"] != ours["hash"]:
                    differing += 1
                    if differing <= 20:
                        print(f"{domain}: the data differ after {json.dumps(calls)[:1500]}")
    for what, n in sorted(counts.items()):
        print(f"{n:7} {what}")
    print(f"{differing} differences")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
