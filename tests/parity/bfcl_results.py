"""Does `hone eval bfcl --responses FOLDER` score a folder of results as the original's own evaluation does?

    pip install --no-deps bfcl-eval==2026.3.23 tree_sitter==0.21.3 tree-sitter-java==0.21.0 \
        tree-sitter-javascript==0.21.4 filelock tenacity mpmath==1.3.0
    cargo build --release -p hone --features suites && cargo build --release -p hone-bfcl --example bfcl_single_turn
    python3 tests/parity/bfcl_results.py target/release/hone target/release/examples/bfcl_single_turn [--seed 0] [--n 1500]

Result files of a prompted and of a function-calling model are made in the original's layout: single-turn answers that are
gold ones with edits, multi-turn call lists with edits (turns that are missing or are no lists, steps that say something or
cannot be read, too), and last words for the memory and web-search questions. The original's `runner` evaluates the folders and writes its
score files; the records that it fails, with their error types, and the overall score must be those of Hone. Exit status 0:
nothing differs.
"""

import argparse
import collections
import contextlib
import importlib
import inspect
import io
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import bfcl_multi_turn
import bfcl_single_turn


def reference():
    runner, handlers = bfcl_single_turn.reference()
    from bfcl_eval.eval_checker import eval_runner_helper

    price = dict(url="", org="", license="", input_price=None, output_price=None)
    for name, handler in handlers.items():
        vars(runner.MODEL_CONFIG_MAPPING[name]).update(price, display_name=name, is_fc_model=handler.is_fc_model)
    # The checker takes the model's name for its instances.
    runner.get_handler = handlers.__getitem__
    runner.tqdm = lambda items, **_: items
    tables = {}
    eval_runner_helper.write_score_csv_file = lambda data, file_path, **_: tables.update({file_path.name: data})
    eval_runner_helper.get_cost_latency_info = lambda *_: ("N/A",) * 4
    return runner, tables


def as_call(text):
    """A Python call as a function-calling API gives it."""
    import ast

    tree = ast.parse(text.strip(), mode="eval").body
    return {tree.func.id: json.dumps({k.arg: ast.literal_eval(k.value) for k in tree.keywords})}


ODD = ["", "Done.", "I can't.", "[]", "[f(]", [], {}, None, [{}], [{"ls": "{"}], [{"ls": {}}], ["ls"], 3, [{"pwd": "{}", "ls": "{}"}]]


def steps(r, fc, turn):
    made = []
    for calls in turn:
        if fc:
            try:
                made.append([as_call(call) for call in calls])
            except Exception:
                made.append("I cannot say it in JSON.")
        else:
            made.append(f"[{', '.join(calls)}]")
    if r.random() < 0.7:
        made.append(r.choice(["Done.", "Is there more?", "It's done: 3 files."]))
    if r.random() < 0.1:
        made.insert(r.randrange(len(made) + 1), r.choice(ODD if fc else [o for o in ODD if isinstance(o, str)]))
    return made


def multi_turn(r, fc, tasks, edits):
    for entry, gold in tasks:
        turns = edits.turns(entry, gold) if r.random() < 0.6 else [[turn] for turn in gold]
        result = [steps(r, fc, turn) for turn in turns]
        if r.random() < 0.03:
            result = r.choice([result[:-1], "Error during inference: none", [], result + [[]]])
        yield {"id": entry["id"], "result": result, "inference_log": [{"role": "x"}]}


def agentic(r, fc, questions):
    for id, gold in questions:
        said = r.choice([f"{{'answer': {r.choice(gold)!r}, 'context': 'c'}}", f"It is {r.choice(gold)}.", "I do not know.", "", r.choice(gold).upper()])
        call = [{"memory_retrieve": "{}"}] if fc else "[memory_retrieve()]"
        turn = [*([call] * r.randrange(3)), said, *([call] if r.random() < 0.2 else [])]
        if r.random() < 0.15:
            turn.append(r.choice([[], [{"f": f"{{{r.choice(gold)}"}], "x"] if fc else ["", "x"]))
        result = [turn]
        if r.random() < 0.05:
            result = r.choice([[turn, turn], "Error during inference: none", []])
        yield {"id": id, "result": result}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hone")
    parser.add_argument("example")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=1500)
    args = parser.parse_args()
    import bfcl_eval

    data = Path(bfcl_eval.__file__).parent / "data"
    r = random.Random(args.seed)
    runner, tables = reference()
    utils = importlib.import_module("bfcl_eval.utils")
    multi = bfcl_multi_turn.Reference()
    signatures = {}
    for name, path in multi.modules.items():
        if not name.startswith(("Memory", "WebSearch")):
            tools = inspect.getmembers(getattr(importlib.import_module(path), name), inspect.isfunction)
            signatures[name] = {tool: list(inspect.signature(f).parameters)[1:] for tool, f in tools if tool[0] != "_"}
    tasks = list(bfcl_multi_turn.records(data, True))
    edits = bfcl_multi_turn.Edits(args.seed, [gold for _, gold in tasks], signatures)
    # Each task as in a process of its own, as Hone judges it.
    checker = runner.multi_turn_checker

    def alone(*given, **named):
        multi.reset()
        return checker(*given, **named)

    runner.multi_turn_checker = alone
    lines = subprocess.run([args.example, data, "mutate", str(args.seed), str(args.n)], stdout=subprocess.PIPE, text=True, check=True).stdout
    singles = [json.loads(line) for line in lines.splitlines()]
    differing, counts = 0, collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for mode in ("prompt", "fc"):
            fc = mode == "fc"
            files = collections.defaultdict(dict)
            for line in singles:
                if line["mode"] == mode:
                    files[line["category"]][line["id"]] = {"id": line["id"], "result": line["result"]}
            for line in multi_turn(r, fc, tasks, edits):
                files[line["id"].rsplit("_", 1)[0]][line["id"]] = line
            for category in ("memory_kv", "memory_vector", "memory_rec_sum", "web_search_base", "web_search_no_snippet"):
                gold = [(entry["id"], entry["ground_truth"]) for entry in utils.load_ground_truth_entry(category)]
                name = "memory" if category.startswith("memory") else "web_search"
                gold = [(id.replace(name, category, 1) if not id.startswith(category) else id, texts) for id, texts in gold]
                for line in agentic(r, fc, gold):
                    files[category][line["id"]] = line
            for category, entries in files.items():
                home = folder / "result" / mode / utils.get_directory_structure_by_category(category)
                home.mkdir(parents=True, exist_ok=True)
                text = "".join(json.dumps(entry) + "\n" for entry in entries.values())
                (home / f"BFCL_v4_{category}_result.json").write_text(text)
        with contextlib.redirect_stdout(io.StringIO()):
            runner.runner(None, runner.parse_test_category_argument(["all"]), folder / "result", folder / "score", allow_missing=True)
        for mode in ("prompt", "fc"):
            theirs, answered = {}, {}
            for path in (folder / "score" / mode).rglob("BFCL_v4_*_score.json"):
                header, *failed = [json.loads(line) for line in path.open()]
                category = utils.extract_test_category(path)
                answered[category] = [header["total_count"], header["correct_count"]]
                for entry in failed:
                    error = entry.get("error_type") or (entry.get("error") or {}).get("error_type")
                    theirs[entry["id"]] = error
            command = [args.hone, "eval", "bfcl", "--responses", folder / "result" / mode, "--data", data, "--json"]
            if mode == "fc":
                command.append("--function-calling")
            report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
            ours = report["failed"]
            counts[f"{mode}: answers"] += report["scored"]
            counts[f"{mode}: failed"] += len(ours)
            for id in sorted({*theirs, *ours}):
                if theirs.get(id) != ours.get(id):
                    differing += 1
                    if differing <= 20:
                        print(f"{mode} {id}\n  original: {theirs.get(id)}\n  hone:     {ours.get(id)}")
            if {k: v for k, v in report["categories"].items() if v[0]} != answered:
                differing += 1
                print(f"{mode}: categories\n  original: {answered}\n  hone:     {report['categories']}")
            row = next(row for row in tables["data_overall.csv"] if mode in map(str, row))
            score = next(x for x in row if isinstance(x, float))
            counts[f"{mode}: overall score, in hundredths of a percent"] = round(1e4 * score)
            if abs(report["overall"]["bfcl/overall"] - score) > 1e-9:
                differing += 1
                print(f"{mode}: overall\n  original: {score}\n  hone:     {report['overall']['bfcl/overall']}")
            if report["unscored"]:
                differing += 1
                print(f"{mode}: not scored: {report['unscored'][:5]}")
    for what, n in sorted(counts.items()):
        print(f"{n:7} {what}")
    print(f"{differing} differences")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
