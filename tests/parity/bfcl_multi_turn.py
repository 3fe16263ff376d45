"""Do hone-bfcl's multi-turn worlds and checker behave as the original's?

    pip install --no-deps bfcl-eval==2026.3.23 mpmath==1.3.0
    cargo build --release -p hone-bfcl --example bfcl_multi_turn
    python3 tests/parity/bfcl_multi_turn.py target/release/examples/bfcl_multi_turn [--data DIR] [--seed 0]
        [--edited 2000] [--calls 10000] [--long-context]

Gold call lists, and edited ones, go to both checkers: verdict and error type, the text of every call's result and the
public attributes of both worlds in the end must agree. Then sequences of random calls, many with arguments of wrong types,
run in both. The data is the original's own, unless a folder is named. Exit status 0: nothing differs.

Each task has the state of a new process: what the original's modules share between tasks is put back before each. Made
equal before comparing: the order of Python's sets within messages, the wording of syntax errors and what follows "maximum
recursion depth exceeded". Calls that hone-bfcl declines to evaluate (`… is not evaluated here`) are counted, not compared.
"""

import argparse
import ast
import collections
import copy
import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path

CATEGORIES = ["base", "miss_func", "miss_param", "long_context"]
DECLINED = re.compile(r"is not evaluated here|computed here|a result too large|is out of range|too large to walk")


def records(data, long_context):
    for category in CATEGORIES if long_context else CATEGORIES[:3]:
        path = data / f"BFCL_v4_multi_turn_{category}.json"
        if path.is_file():
            gold = {}
            for line in (data / "possible_answer" / path.name).open():
                entry = json.loads(line)
                gold[entry["id"]] = entry["ground_truth"]
            for line in path.open():
                entry = json.loads(line)
                yield entry, gold[entry["id"]]


class Reference:
    def __init__(self):
        from bfcl_eval.constants.executable_backend_config import CLASS_FILE_PATH_MAPPING
        from bfcl_eval.eval_checker.multi_turn_eval import multi_turn_checker, multi_turn_utils
        from bfcl_eval.eval_checker.multi_turn_eval.func_source_code import long_context, posting_api, vehicle_control

        self.checker, self.utils, self.modules = multi_turn_checker, multi_turn_utils, CLASS_FILE_PATH_MAPPING
        self.execute = multi_turn_utils.execute_multi_turn_func_call
        self.defaults = posting_api.TwitterAPI.post_tweet.__defaults__
        self.shared = [v for k, v in vars(long_context).items() if k.isupper() and isinstance(v, (dict, list))]
        self.saved = copy.deepcopy(self.shared)
        self.seen = {}
        multi_turn_checker.execute_multi_turn_func_call = self.recorded

    def reset(self):
        for name in [name for name in vars(self.utils) if name.endswith("_instance")]:
            del vars(self.utils)[name]
        for default in self.defaults:
            default.clear()
        for shared, saved in zip(self.shared, self.saved):
            shared.clear()
            (shared.update if isinstance(shared, dict) else shared.extend)(copy.deepcopy(saved))
        self.seen = {"model": [], "gold": [], "worlds": {}}

    def recorded(self, **kwargs):
        results, instances = self.execute(**kwargs)
        who = "gold" if kwargs["model_name"].endswith("_ground_truth") else "model"
        self.seen[who].append(results)
        self.seen["worlds"][who] = instances
        return results, instances

    def judged(self, entry, gold, turns):
        self.reset()
        try:
            found = self.checker.multi_turn_checker(turns, gold, entry, "", "model")
            verdict = found["valid"], found.get("error_type")
        except Exception as e:
            verdict = False, "crash"
        calls = lambda who: [text for results in self.seen[who] for text in results]
        state = lambda who: shown(self.seen["worlds"][who]) if who in self.seen["worlds"] else None
        return verdict, calls("model"), calls("gold"), state("model"), state("gold")

    def run(self, entry, calls):
        self.reset()
        results, instances = self.execute(
            calls, entry["initial_config"], entry["involved_classes"], "model", entry["id"], "long_context" in entry["id"]
        )
        return results, shown(instances)


def shown(instances):
    def attribute(value):
        try:
            return repr(sorted(value) if isinstance(value, set) else value)
        except RecursionError as e:
            return str(e)

    return {
        name: {k: attribute(v) for k, v in vars(instance).items() if not k.startswith("_")}
        for name, instance in instances.items()
    }


def normal(text):
    text = re.sub(r"maximum recursion depth exceeded.*", "maximum recursion depth exceeded", text)
    text = re.sub(r"^Error during execution: .*\((<string>|<unknown>), line \d+\)$", "Error: syntax", text, flags=re.S)
    text = re.sub(r"Must be one of \{.*?\}", "Must be one of a set", text)
    found = re.fullmatch(r'(\{"error": "Invalid fields for update: )(.*)("\})', text)
    return found[1] + ", ".join(sorted(found[2].split(", "))) + found[3] if found else text


ODD = [
    "None", "True", "False", "0", "1", "-1", "3", "10", "2.5", "-0.0", "1e308", "1e-7", "10**30", "10**400", "''", "'.'", "'..'", "'/'", "'x'", "'1'", "'5.5'",
    "'word (again)'", "'ls (now)'", "'é ü'", "'a\\nb'", "[]", "['a']", "[1, 2.5, True]", "['driver', 'x']", "{}", "{'title': 'n', 'status': 'x'}", "{'x': 1}", "(1,)", "('a', 'b')", "['a', 1]",
    "'2024-02-30'", "'2024-11-10'", "'24-1-1'", "'2024-1-5 '", "'1990-01-01'", "'economy'", "'business'", "'first'", "'SFO'", "'LAX'", "'USD'", "'RMB'", "'fahrenheit'", "'km'", "'m'", "'cm'", "'nm'", "'celsius'",
    "'kg'", "'lb'", "'AAPL'", "'Technology'", "'USR001'", "'USR002'", "'l'", "'w'", "'c'", "['AAPL', 'NVDA', 'ZZZ']", "12345", "'john'", "'john123'", "float('x')", "f'{1}'", "nowhere", "x.y", "1 +", "2 if 1 else 3", "[1,2][0]", "not 1", "1 < 2 < 3",
]  # fmt: skip


class Edits:
    def __init__(self, seed, golds, signatures):
        self.r = random.Random(seed)
        self.pool = collections.defaultdict(list)
        self.tools = signatures
        for turns in golds:
            for call in (call for turn in turns for call in turn):
                tree = ast.parse(call.strip(), mode="eval").body
                for keyword in tree.keywords:
                    self.pool[keyword.arg].append(ast.unparse(keyword.value))
                for name, value in zip(self.parameters(tree.func.id), tree.args):
                    self.pool[name].append(ast.unparse(value))

    def parameters(self, tool):
        return next((tools[tool] for tools in self.tools.values() if tool in tools), [])

    def value(self, name):
        if self.pool[name] and self.r.random() < 0.6:
            return self.r.choice(self.pool[name])
        if self.r.random() < 0.2:
            return self.r.choice([v for values in self.pool.values() for v in values[:3]])
        return self.r.choice(ODD)

    def call(self, classes):
        tool, names = self.r.choice([item for name in classes for item in self.tools[name].items()])
        if self.r.random() < 0.08 and names:
            names = self.r.sample(names, self.r.randrange(len(names) + 1)) + self.r.choice([[], ["extra"], names[:1]])
        parts = []
        for name in names:
            if name == "mentions" and self.r.random() < 0.5 or self.r.random() < 0.03:
                continue
            named = self.r.random() < 0.7 or any("=" in part for part in parts)
            parts.append((f"{name}=" if named else "") + self.value(name))
        return f"{tool}({', '.join(parts)})"

    def changed(self, call):
        try:
            tree = ast.parse(call, mode="eval").body
            keyword = self.r.choice(tree.keywords or tree.args)
        except (SyntaxError, IndexError, AttributeError):
            return call
        old = ast.unparse(keyword)
        name = getattr(keyword, "arg", "") or ""
        new = self.r.choice([lambda: self.value(name), lambda: self.r.choice(ODD)])()
        return ast.unparse(tree).replace(old, f"{name}={new}" if name else new, 1)

    def turns(self, entry, gold):
        r, turns = self.r, [list(turn) for turn in gold]
        for _ in range(r.choice([0, 1, 1, 1, 2, 3])):
            turn = r.choice(turns)
            at = r.randrange(len(turn)) if turn else 0
            edit = r.randrange(9)
            if edit == 0 and turn:
                turn.pop(at)
            elif edit == 1 and turn:
                turn.insert(at, turn[at])
            elif edit == 2:
                r.shuffle(turn)
            elif edit == 3 and turn:
                other = self.call(entry["involved_classes"]).split("(")[0]
                turn[at] = turn[at].replace(turn[at].split("(")[0], other, 1)
            elif edit in (4, 5) and turn:
                turn[at] = self.changed(turn[at])
            elif edit == 6:
                turn.insert(at, self.call(entry["involved_classes"]))
            elif edit == 7 and turn:
                turn[at] = r.choice([turn[at] + ")", turn[at][:-1], turn[at].replace("=", " = "), turn[at].replace("'", '"'), f" {turn[at]}", f"[{turn[at]}]", f"x.{turn[at]}", "kill()", ""])
            elif edit == 8:
                r.choice(turns).extend(turn)
        return [[turn] if r.random() < 0.6 else [[call] for call in turn] for turn in turns]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--edited", type=int, default=2000)
    parser.add_argument("--calls", type=int, default=10000)
    parser.add_argument("--long-context", action="store_true")
    parser.add_argument("--show", type=int, default=10)
    args = parser.parse_args()
    import importlib
    import inspect

    import bfcl_eval

    package = Path(bfcl_eval.__file__).parent
    data = args.data or package / "data"
    reference = Reference()
    signatures = {}
    for name, path in reference.modules.items():
        if name.startswith(("Memory", "WebSearch")):
            continue
        tools = inspect.getmembers(getattr(importlib.import_module(path), name), inspect.isfunction)
        signatures[name] = {tool: list(inspect.signature(f).parameters)[1:] for tool, f in tools if tool[0] != "_"}
    tasks = list(records(data, args.long_context))
    edits = Edits(args.seed, [gold for _, gold in tasks], signatures)
    asked = [(entry, gold, {"id": entry["id"], "turns": [[turn] for turn in gold]}) for entry, gold in tasks]
    asked += [(entry, gold, {"id": entry["id"], "turns": [[] for _ in gold]}) for entry, gold in tasks]
    for _ in range(args.edited):
        entry, gold = edits.r.choice(tasks)
        asked.append((entry, gold, {"id": entry["id"], "turns": edits.turns(entry, gold)}))
    for _ in range(args.calls // 8):
        entry, gold = edits.r.choice(tasks)
        asked.append((entry, gold, {"id": entry["id"], "calls": [edits.call(entry["involved_classes"]) for _ in range(8)]}))
    extension = package / "eval_checker/multi_turn_eval/func_source_code/long_context.py"
    command = [args.example, str(data)] + (["--long-context", str(extension)] if args.long_context else [])
    begun = time.monotonic()
    lines = "".join(json.dumps(question) + "\n" for _, _, question in asked)
    out = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    ours = time.monotonic() - begun
    counts, differing, theirs = collections.Counter(), 0, 0.0

    def compare(what, question, a, b):
        nonlocal differing
        if a != b:
            differing += 1
            counts[f"DIFFERS: {what}"] += 1
            if counts[f"DIFFERS: {what}"] <= args.show:
                print(f"{what}\n  {json.dumps(question)[:1500]}\n  original: {str(a)[:900]}\n  hone:     {str(b)[:900]}")

    for (entry, gold, question), line in zip(asked, out, strict=True):
        answer = json.loads(line)
        begun = time.monotonic()
        if "calls" in question:
            results, state = reference.run(entry, question["calls"])
            theirs += time.monotonic() - begun
            declined = False
            for call, a, b in zip(question["calls"], results, answer["results"], strict=True):
                if DECLINED.search(b):
                    counts["calls declined"] += 1
                    declined = True
                    break
                counts["calls alone"] += 1
                counts["... that raised"] += a.startswith("Error during")
                compare("a call's result", {"id": entry["id"], "calls": question["calls"], "at": call}, normal(a), normal(b))
            if not declined:
                counts["states after calls"] += 1
                compare("a state after calls", question, state, answer["state"])
            continue
        verdict, model, golden, model_state, gold_state = reference.judged(entry, gold, question["turns"])
        theirs += time.monotonic() - begun
        counts[f"verdict {verdict[1] or 'valid'}"] += 1
        got_model = [text for turn in answer["model_results"] for text in turn]
        got_gold = [text for turn in answer["gold_results"] for text in turn]
        if any(DECLINED.search(text) for text in got_model):
            counts["tasks with a declined call"] += 1
            continue
        compare("a verdict", question, verdict, (answer["valid"], answer["error_type"]))
        counts["calls judged"] += len(model) + len(golden)
        compare("results", question, [*map(normal, model), *map(normal, golden)], [*map(normal, got_model), *map(normal, got_gold)])
        if model_state:
            compare("the model's state", question, model_state, answer["model"])
        if gold_state:
            compare("the gold's state", question, gold_state, answer["gold"])
    for what, n in sorted(counts.items()):
        print(f"{n:7} {what}")
    print(f"{len(asked)} questions, {differing} differences; the original took {theirs:.2f} s, the example {ours:.2f} s")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
