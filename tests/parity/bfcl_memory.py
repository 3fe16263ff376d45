"""Do hone-bfcl's memories and its checker of answers behave as the original's?

    pip install --no-deps bfcl-eval==2026.3.23 rank-bm25==0.2.2 filelock numpy
    cargo build --release -p hone-bfcl --example bfcl_memory
    python3 tests/parity/bfcl_memory.py target/release/examples/bfcl_memory [--seed 0] [--sequences 600] [--answers 6000]

Sequences of random calls, many with odd arguments, run on both sides, each from the snapshot that the sequence before it
left or from none. The text of every result, the snapshot in the end and what a model is told of it must agree. Then the
checker of answers, on texts with and without the answer. Of the vector memory everything is compared but its search, for
which the original needs a model: its encoder and index are replaced by ones that find nothing (bfcl_vector_memory.py compares
that). Exit status 0: nothing
differs.
"""

import argparse
import collections
import json
import random
import subprocess
import sys
import tempfile
import types
from pathlib import Path

from bfcl_single_turn import Absent

TEXTS = ["'Michael'", "'lives in Seattle'", "'é ü 中文'", "'a\\nb'", "''", "'it\\'s'", "'\"'", "None", "True", "1", "-2.5", "10**30", "10**5000", "[]", "['a', 1]", "{}", "{'x': 1}", "(1,)", "1e308*10"]  # fmt: skip
KEYS = ["'name'", "'first_name'", "'first_pet'", "'age'", "'home_city'", "'a1'", "'a_1'", "'A'", "'a b'", "'a\\n'", "'_a'", "'a_'", "'a__b'", "''", "'é'", "None", "True", "0", "['a']", "{}", "('a',)", "1.5"]  # fmt: skip
QUERIES = ["'first name'", "'NAME'", "'first_name first'", "''", "' '", "'zzz'", "'home city pet'", "None", "3", "['a']", "'name_'", "b'x'"]  # fmt: skip
COUNTS = ["1", "2", "0", "-1", "-9", "100", "None", "True", "2.0", "'2'", "[1]", "10**30", "-10**30"]
IDS = ["0", "1", "2", "3", "9", "-1", "1.0", "True", "False", "0.5", "'0'", "None", "[0]", "{}", "(1,)", "10**30"]


def tools(r, kind):
    value = lambda: r.choice(TEXTS) if r.random() < 0.7 else repr("x" * r.choice([299, 300, 301, 1999, 2000, 2001]))
    key = lambda: r.choice(KEYS) if r.random() < 0.5 else repr("key_" + r.choice("abcdefghijklmnopqrstuvwxyz"))
    made = {}
    if kind == "MemoryAPI_kv":
        for store in ("core", "archival"):
            name = f"{store}_memory_"
            made |= {
                f"{name}add": lambda: {"key": key(), "value": value()},
                f"{name}remove": lambda: {"key": key()},
                f"{name}replace": lambda: {"key": key(), "value": value()},
                f"{name}retrieve": lambda: {"key": key()},
                f"{name}list_keys": dict,
                f"{name}key_search": lambda: {"query": r.choice(QUERIES)} | ({"k": r.choice(COUNTS)} if r.random() < 0.6 else {}),
            }
            if r.random() < 0.2:
                made[f"{name}clear"] = dict
        made["core_memory_retrieve_all"] = dict
    elif kind == "MemoryAPI_vector":
        text = lambda: r.choice([t for t in TEXTS if t[0] == "'"] + ["None", "1", "True"]) if r.random() < 0.7 else repr("x" * r.choice([300, 301, 2000, 2001]))
        for store in ("core", "archival"):
            name = f"{store}_memory_"
            made |= {
                f"{name}add": lambda: {"text": text()},
                f"{name}remove": lambda: {"vec_id": r.choice(IDS)},
                f"{name}update": lambda: {"vec_id": r.choice(IDS), "new_text": text()},
                f"{name}retrieve_all": dict,
            }
            if r.random() < 0.2:
                made[f"{name}clear"] = dict
    else:
        text = lambda: r.choice(TEXTS) if r.random() < 0.7 else repr("ab" * r.choice([10, 2000, 4999, 5000, 5001]))
        part = lambda: r.choice(["'a'", "'ab'", "''", "'Michael'", "'None'", "1", "'zzz'", "'\\n'"])
        made = {
            "memory_append": lambda: {"text": text()},
            "memory_update": lambda: {"text": text()},
            "memory_replace": lambda: {"old_text": part(), "new_text": r.choice([part, text])()},
            "memory_retrieve": dict,
        }
        if r.random() < 0.3:
            made["memory_clear"] = dict
    return made


def call(r, kind):
    made = tools(r, kind)
    name = r.choice([*made, *[n for n in made if n.endswith(("_add", "_append"))] * 4])
    arguments = made[name]()
    if r.random() < 0.04:
        arguments |= {r.choice(["extra", "self", "key"]): "'x'"}
    if r.random() < 0.04 and arguments:
        arguments.pop(r.choice(list(arguments)))
    if r.random() < 0.15:
        return f"{name}({', '.join(arguments.values())})"
    return f"{name}({', '.join(f'{k}={v}' for k, v in arguments.items())})"


class Index:
    """In place of FAISS: takes vectors and finds nothing."""

    def __init__(self, *_):
        pass

    add_with_ids = remove_ids = reset = lambda self, *_: None


class Encoder:
    def __init__(self, *_, **__):
        pass

    def get_sentence_embedding_dimension(self):
        return 2

    def encode(self, texts, **_):
        return [[1.0, 0.0] for _ in texts]


def reference():
    sys.modules["faiss"] = types.SimpleNamespace(IndexFlatIP=Index, IndexIDMap=Index)
    sys.modules["sentence_transformers"] = types.SimpleNamespace(SentenceTransformer=Encoder)
    import numpy, rank_bm25  # noqa: F401  The real ones must be there.

    sys.meta_path.append(Absent())
    from bfcl_eval.eval_checker.agentic_eval.agentic_checker import agentic_checker
    from bfcl_eval.eval_checker.multi_turn_eval import multi_turn_utils

    return multi_turn_utils, agentic_checker


def run(utils, folder, kind, snapshot, calls):
    """Results, snapshot and context of calls on a memory that begins with a snapshot, or empty."""
    category = kind.replace("MemoryAPI", "memory")
    first = snapshot is None
    id = f"{category}_prereq_{0 if first else 1}-customer-{0 if first else 1}"
    for name in [name for name in vars(utils) if name.endswith("_instance")]:
        del vars(utils)[name]
    home = folder / "agentic" / "memory" / category.removeprefix("memory_") / "memory_snapshot"
    home.mkdir(parents=True, exist_ok=True)
    if not first:
        (home / "customer_final.json").write_text(json.dumps(snapshot))
    config = {kind: {"model_result_dir": folder, "test_id": id, "scenario": "customer"}}
    results, instances = utils.execute_multi_turn_func_call(calls, config, [kind], "model", id)
    instance = instances[kind]
    instance._flush_memory_to_local_file()
    return results, json.loads((home / "customer_final.json").read_text()), instance._dump_core_memory_to_context()


def answers(r, n):
    pool = ["Michael", "35", "thirty five", "$49.99", "strawberry matcha", "don't", "É", "naïve", "中文", "½", "a_b", "", "(x)", "C++", "x²", "İ", "ß", "Σ", "\u0345", "ⓐ", "12.5%", "  ", "key_1", "\u200d", "٣"]  # fmt: skip
    glue = ["", " ", ".", ",", "_", "-", "'", '"', "(", ")", "\n", "é", "1", "s", "$", "\u0301", "€", "中", "²"]
    for _ in range(n):
        gold = r.sample(pool, r.randrange(1, 4))
        words = [r.choice(pool + gold * 3) for _ in range(r.randrange(4))]
        said = "".join(r.choice(glue) + r.choice([str, str.upper, str.lower])(w) for w in words) + r.choice(glue)
        yield said, gold


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sequences", type=int, default=600)
    parser.add_argument("--answers", type=int, default=6000)
    args = parser.parse_args()
    r = random.Random(args.seed)
    utils, checker = reference()
    counts, differing = collections.Counter(), 0
    asked, expected = [], []
    with tempfile.TemporaryDirectory() as folder:
        last = {}
        for i in range(args.sequences):
            kind = ("MemoryAPI_kv", "MemoryAPI_rec_sum", "MemoryAPI_vector")[i % 3]
            snapshot = last.get(kind) if r.random() < 0.6 else None
            calls = [call(r, kind) for _ in range(r.randrange(1, 40))]
            asked.append({"class": kind, "snapshot": snapshot or {}, "calls": calls})
            expected.append(run(utils, Path(folder), kind, snapshot, calls))
            last[kind] = expected[-1][1]
    for said, gold in answers(r, args.answers):
        asked.append({"said": said, "gold": gold})
        expected.append(checker(said, gold)["valid"])
    lines = "".join(json.dumps(question) + "\n" for question in asked)
    out = subprocess.run([args.example], input=lines, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    for question, theirs, line in zip(asked, expected, out, strict=True):
        ours = json.loads(line)
        if "said" in question:
            counts[f"answers, {'found' if theirs else 'not found'}"] += 1
            pairs = [("an answer", theirs, ours["holds"])]
        else:
            results, snapshot, context = theirs
            counts[f"calls of {question['class']}"] += len(results)
            counts["... that raised"] += sum(text.startswith("Error during") for text in results)
            counts["... that say no"] += sum(text.startswith('{"error"') for text in results)
            # What a replacement may make of a memory has a bound here and none there.
            if any("too large to keep" in text for text in ours["results"]):
                counts["sequences declined"] += 1
                continue
            pairs = [(call, a, b) for call, a, b in zip(question["calls"], results, ours["results"], strict=True)]
            pairs += [("the snapshot", json.dumps(snapshot), json.dumps(ours["snapshot"])), ("what is told", context, ours["context"])]
        for what, a, b in pairs:
            if a != b:
                differing += 1
                if differing <= 10:
                    print(f"{what[:300]}\n  {json.dumps(question)[:600]}\n  original: {str(a)[:600]}\n  hone:     {str(b)[:600]}")
    for what, n in sorted(counts.items()):
        print(f"{n:7} {what}")
    print(f"{len(asked)} questions, {differing} differences")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
