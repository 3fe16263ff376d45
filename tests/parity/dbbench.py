"""Does hone-dbbench compare answers as AgentBench does?

    cargo build --release -p hone-dbbench --example judge
    python tests/parity/dbbench.py CHECKOUT target/release/examples/judge [--data DIR] [--n 20000] [--seed 0]

CHECKOUT is a checkout of THUDM/AgentBench; DIR holds dbbench/*.jsonl. Labels and seeded edits of them are compared with labels,
as lists and as texts, by the original's own code and by ours. The original evaluates answers that look like lists as Python;
edits are such that nothing of it runs code. Exit status 0: no disagreement.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import random
import subprocess
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

VALUES = [
    "", "0", "1", "1.0", "1.005", "0.01", "-3", "none", "None", "NULL", "nan", "inf", "-Infinity", "undefined", "12%", "1,234", "1,234.5", " a ", "'a'", '"a"',
    "a", "b", "A", "a, b", "1e3", "1_000", "٣", "x%", "%", "[", "]", "()", "(1,)", "1 000", "\u00a0 5", "true", "[1]", "a\nb",
]
TEXTS = [
    "[('a',), ('b',)]", "[('a',)]", "[(1.5,)]", "[(None,)]", "[('a', 'b')]", "[(Decimal('2.5'),)]", "[(293.0,)]", "['a', 'b']", "[a, b]", "[1, 2.0, '3']", "[]",
    "[()]", "[[1], [2]]", "[{'a': 1}]", "['a', b]", "[\"it's\", 'x']", "[1,,2]", "[ ]", "('a',)", "a, b", "[a", "a]", "[None, True]", "[('x',), 1]", "[1][0]",
    "[b'a']", "['a' 'b']", "[1, ", "[1]]", "[[1]", "['a]", "[x for x in 'ab']",
]


def reference(checkout):
    package = types.ModuleType("dbbench")
    package.__path__ = [str(checkout / "src/server/tasks/dbbench")]
    sys.modules["dbbench"] = package
    stub = types.ModuleType("dbbench.interaction")
    stub.Database = object
    sys.modules["dbbench.interaction"] = stub
    spec = importlib.util.spec_from_file_location("dbbench.result_processor", checkout / "src/server/tasks/dbbench/result_processor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DBResultProcessor.compare_results


def edited(rng, text):
    at = rng.randrange(len(text) + 1)
    return rng.choice(
        [
            lambda: text[:at] + rng.choice(VALUES) + text[at:],
            lambda: text[:at] + text[at + 1 :],
            lambda: text.upper(),
            lambda: f" {text} ",
            lambda: f"'{text}'",
            lambda: text + "%",
            lambda: text + ".0",
            lambda: text,
        ]
    )()


def answer(rng, label):
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice(TEXTS)
    if kind == 1:
        return edited(rng, rng.choice(TEXTS)).replace("for", "fr")
    if kind == 2:
        return rng.choice([None, [], [None], [1, 2.5, True], 5, 1.0, [["a"], {"b": 1}], ["a", None]])
    if kind == 3:
        return [rng.choice(VALUES) for _ in range(rng.randrange(4))]
    if kind == 4 and isinstance(label, list):
        return str(label)
    if isinstance(label, list):
        said = [edited(rng, str(item)) if rng.random() < 0.5 else item for item in label]
        rng.shuffle(said)
        return rng.choice([said, said + said[:1], said[1:], said])
    return edited(rng, label)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=Path)
    parser.add_argument("example", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    parser.add_argument("--n", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    compare = reference(args.checkout.resolve())
    labels = []
    for file in ["standard", "dev"]:
        for line in (args.data / "dbbench" / f"{file}.jsonl").read_text().split("\n"):
            if line:
                row = json.loads(line)
                labels.append((row["label"], "other") if "sql" in row else (row["answer_md5"], "UPDATE"))
    rng = random.Random(args.seed)
    cases = []
    for _ in range(args.n):
        truth, kind = rng.choice(labels) if rng.random() < 0.5 else (answer(rng, rng.choice(VALUES)), "other")
        cases.append({"answer": answer(rng, truth), "truth": truth, "kind": kind})
    told = "".join(json.dumps(case) + "\n" for case in cases)
    ours = subprocess.run([args.example], input=told, check=True, capture_output=True, text=True, encoding="utf-8").stdout.split()
    assert len(ours) == len(cases)
    wrong, equal = [], 0
    for case, said in zip(cases, ours):
        with contextlib.redirect_stdout(io.StringIO()):
            there = bool(compare(case["answer"], case["truth"], case["kind"]))
        equal += there
        if there != (said == "true"):
            wrong.append((case, there))
    for case, there in wrong[:20]:
        print(f"there {there}: {json.dumps(case)}")
    print(f"{len(cases)} answers, {equal} right, {len(wrong)} judged differently")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
