"""BFCL's own scorer as the peer of `hone bench eval`.

Its argument is a job: {"data", "single_turn": [[category, id, answer]], "multi_turn": [id]}. For each line of input, the name
of a work, it does that work once and prints {"work", "seconds", "passed"}. Only scoring is timed. What the scorer does not
need is replaced by empty packages where it is not installed.
"""

import contextlib
import copy
import importlib.abc
import importlib.machinery
import io
import json
import sys
import time
import types
import unittest.mock
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
# Optional speed-ups of mpmath, which looks for them.
MISSING = {"gmpy2", "gmpy", "sage"}


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for packages that are not installed."""

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        known = top in sys.stdlib_module_names or top in MISSING or top in ("bfcl_eval", "mpmath", "tree_sitter")
        return None if known else importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = unittest.mock.MagicMock(name=spec.name)
        module.__spec__, module.__path__, module.__name__ = spec, [], spec.name
        module.overrides = module.final = module.override = lambda f: f
        return module

    def exec_module(self, module):
        pass


def load(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines]


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    out, sys.stdout = sys.stdout, sys.stderr
    config = types.ModuleType("bfcl_eval.constants.model_config")
    config.MODEL_CONFIG_MAPPING = {"prompt": types.SimpleNamespace(underscore_to_dot=False)}
    sys.modules[config.__name__] = config
    sys.meta_path.append(Absent())
    # Where it is installed, it would miss what is replaced; scoring needs nothing of it.
    sys.modules["pandas"] = unittest.mock.MagicMock(name="pandas")
    from bfcl_eval.eval_checker import eval_runner as runner
    from bfcl_eval.eval_checker.multi_turn_eval import multi_turn_checker, multi_turn_utils
    from bfcl_eval.model_handler.api_inference.openai_completion import OpenAICompletionsHandler

    handler = OpenAICompletionsHandler.__new__(OpenAICompletionsHandler)
    handler.is_fc_model = False
    data = Path(job["data"])
    prompts, golds = {}, {}
    for category in {category for category, _, _ in job["single_turn"]}:
        prompts |= {entry["id"]: entry for entry in load(data / f"BFCL_v4_{category}.json")}
        answers = data / "possible_answer" / f"BFCL_v4_{category}.json"
        if answers.exists():
            golds |= {entry["id"]: entry["ground_truth"] for entry in load(answers)}
    wanted, tasks = set(job["multi_turn"]), []
    for category in ("base", "miss_func", "miss_param"):
        name = f"BFCL_v4_multi_turn_{category}.json"
        if (data / name).exists() and wanted:
            gold = {entry["id"]: entry["ground_truth"] for entry in load(data / "possible_answer" / name)}
            tasks += [(entry, gold[entry["id"]]) for entry in load(data / name) if entry["id"] in wanted]

    def single_turn():
        work = [(category, id, answer, copy.copy(prompts[id])) for category, id, answer in job["single_turn"]]
        python, java, script = (
            (getattr(runner.Language, name), getattr(runner.ReturnFormat, name)) for name in ("PYTHON", "JAVA", "JAVASCRIPT")
        )
        passed, start = 0, time.perf_counter()
        for category, id, answer, prompt in work:
            if runner.is_relevance_or_irrelevance(category):
                found = runner._evaluate_single_relevance_entry(handler, id, answer, prompt, "prompt", category)
            else:
                language, form = java if runner.is_java(category) else script if runner.is_js(category) else python
                found = runner._evaluate_single_ast_entry(
                    handler, id, answer, golds[id], prompt, "prompt", category, language, form
                )
            passed += found["valid"]
        return time.perf_counter() - start, passed

    def multi_turn():
        # Instances are kept by name: without these, each pass begins anew.
        for name in [name for name in vars(multi_turn_utils) if name.endswith("_instance")]:
            del vars(multi_turn_utils)[name]
        passed, start = 0, time.perf_counter()
        for entry, gold in tasks:
            found = multi_turn_checker.multi_turn_checker([[turn] for turn in gold], gold, entry, "", "model")
            passed += found["valid"]
        return time.perf_counter() - start, passed

    works = {"single_turn": single_turn, "multi_turn": multi_turn}
    for line in sys.stdin:
        with contextlib.redirect_stdout(io.StringIO()):
            seconds, passed = works[line.strip()]()
        print(json.dumps({"work": line.strip(), "seconds": seconds, "passed": passed}), file=out, flush=True)


if __name__ == "__main__":
    main()
