"""Does hone-bfcl judge answers as the original's scorer does?

    pip install --no-deps bfcl-eval==2026.3.23 tree_sitter==0.21.3 tree-sitter-java==0.21.0 \
        tree-sitter-javascript==0.21.4 filelock tenacity
    cargo build --release -p hone-bfcl --example bfcl_single_turn
    python3 tests/parity/bfcl_single_turn.py target/release/examples/bfcl_single_turn [--data DIR] [--seed 0] [--n 6000]

The example makes wrong answers out of gold ones and judges them; the original judges them too. Verdict and error type must
agree on each. Then the same for the conversion of Java and JavaScript source, and for the functions as API tools. The data
is the original's own, unless a folder is named. The original's scorer needs none of the packages that its models need, so
those are replaced by empty ones where they are not installed. Exit status 0: nothing differs.
"""

import argparse
import collections
import contextlib
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import random
import subprocess
import sys
import time
import types
import unittest.mock
import warnings
from pathlib import Path

import python_values

warnings.simplefilter("ignore")


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for packages that are not installed."""

    def find_spec(self, name, path=None, target=None):
        known = name.partition(".")[0] in sys.stdlib_module_names or name.startswith("bfcl_eval")
        return None if known else importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = unittest.mock.MagicMock(name=spec.name)
        module.__spec__, module.__path__, module.__name__ = spec, [], spec.name
        module.overrides = module.final = module.override = lambda f: f
        return module

    def exec_module(self, module):
        pass


def reference():
    # The table of models imports every vendor's client; the scorer asks it for one flag.
    config = types.ModuleType("bfcl_eval.constants.model_config")
    flag = lambda underscore: types.SimpleNamespace(underscore_to_dot=underscore)
    config.MODEL_CONFIG_MAPPING = {"prompt": flag(False), "fc": flag(True)}
    sys.modules[config.__name__] = config
    # It looks for packages that it can do without, and would take the stand-ins for them.
    with contextlib.suppress(ImportError):
        import pandas  # noqa: F401
    sys.meta_path.append(Absent())
    from bfcl_eval.eval_checker import eval_runner
    from bfcl_eval.model_handler.api_inference.openai_completion import OpenAICompletionsHandler

    def handler(fc):
        made = OpenAICompletionsHandler.__new__(OpenAICompletionsHandler)
        made.is_fc_model = fc
        return made

    return eval_runner, {"prompt": handler(False), "fc": handler(True)}


def judged(runner, handlers, asked, prompts, golds):
    category, mode = asked["category"], asked["mode"]
    handler = handlers[mode]
    prompt = prompts[asked["id"]]
    result = copy.deepcopy(asked["result"])
    try:
        if runner.is_relevance_or_irrelevance(category):
            entry = runner._evaluate_single_relevance_entry(handler, asked["id"], result, prompt, mode, category)
        else:
            language, form = runner.Language.PYTHON, runner.ReturnFormat.PYTHON
            if runner.is_java(category):
                language, form = runner.Language.JAVA, runner.ReturnFormat.JAVA
            elif runner.is_js(category):
                language, form = runner.Language.JAVASCRIPT, runner.ReturnFormat.JAVASCRIPT
            entry = runner._evaluate_single_ast_entry(
                handler, asked["id"], result, golds[asked["id"]], prompt, mode, category, language, form
            )
    except Exception as e:
        return False, "crash", repr(e)
    return entry["valid"], None if entry["valid"] else entry["error_type"], str(entry.get("error"))


def converted(n, seed):
    """Questions to the converters of Java and JavaScript, with the original's answers."""
    from bfcl_eval.eval_checker.ast_eval.type_convertor.java_type_converter import java_type_converter
    from bfcl_eval.eval_checker.ast_eval.type_convertor.js_type_converter import js_type_converter

    r = random.Random(seed)
    atoms = ["1", "-2", "3L", "4.5", "6.5f", "-7e3F", "true", "false", "null", '"a b"', "'c'", "x", "12n", "", " 8 ", "1_0", "inf", "9\n", "'", '"', "٣", "a:b", "{}", "[]"]
    java = ["byte", "short", "integer", "float", "double", "long", "boolean", "char", "Array", "ArrayList", "Set", "HashMap", "Hashtable", "Queue", "Stack", "String", "any", "list"]
    script = ["String", "integer", "float", "Bigint", "Boolean", "dict", "array", "any", "object"]

    def some(separator):
        return separator.join(r.choice(atoms) for _ in range(r.randrange(4)))

    def source():
        s = r.choice([
            lambda: r.choice(atoms),
            lambda: f"new {r.choice(['int', 'String', 'Object'])}[]{r.choice(['', ' '])}{{{some(', ')}}}",
            lambda: f"new ArrayList<{r.choice(['', 'Integer', 'a b'])}>(Arrays.asList({some(', ')}))",
            lambda: f"new ArrayList<>() {{{{ {' '.join(f'add({r.choice(atoms)});' for _ in range(r.randrange(4)))} }}}}",
            lambda: "new HashMap<String, Object>() {{ " + " ".join(f'put("{r.choice("abc")}", {r.choice(atoms)});' for _ in range(r.randrange(4))) + r.choice([" }}", "}}", " } }", "}"]),
            lambda: r.choice(["new ArrayList<>()", "new HashMap<>()", "new HashMap<>() {}", "new HashMap<a>() {{ }}"]),
            lambda: f"[{some(', ')}]",
            lambda: f"[[{some(',')}], [{some(', ')}]]",
            lambda: f"new Array({some(', ')})",
            lambda: f"new Array([{some(',')}], [{some(',')}])",
            lambda: "{" + ", ".join(f"{r.choice(['a', chr(34) + 'b' + chr(34), chr(39) + 'c d' + chr(39)])}: {r.choice(atoms + ['[1, 2]', '{x: 1}', '[' + some(', ') + ']'])}" for _ in range(r.randrange(4))) + "}",
        ])()
        if r.random() < 0.3 and s:
            i = r.randrange(len(s) + 1)
            s = r.choice([s[:i] + s[i + 1 :], s[:i] + r.choice(" ,:()[]{}\"'\n\t;1aLf") + s[i:]])
        return s

    for _ in range(n):
        language, convert, types_ = r.choice([("java", java_type_converter, java), ("javascript", js_type_converter, script)])
        s, declared, nested = source(), r.choice(types_), r.choice([None, *types_])
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield [language, s, declared, nested], repr(convert(s, declared, nested))
        except RecursionError:
            pass
        except Exception as e:
            yield [language, s, declared, nested], type(e).__name__


def sources(r):
    """An answer in one of the languages, often damaged."""
    text = lambda: r.choice(['"a"', '"b c"', '"\\n"', '"it\'s"', '"é"', '""', '"x\\"y"'])
    name = lambda: r.choice(["a", "b_1", "Foo.BAR", "ü"])

    def java(depth=0):
        e = lambda: java(depth + 1)
        simple = [text, name, lambda: r.choice(["1", "-2L", "3.5f", "1e3", "'c'", "true", "null", "0x1F", "String.class", "this", "1_000", "5d"])]
        rich = [
            lambda: f"new {r.choice(['int', 'String', 'Point', 'java.util.List'])}[]{{{', '.join(e() for _ in range(r.randrange(4)))}}}",
            lambda: f"new {r.choice(['int', 'String'])}[{e()}]",
            lambda: f"new ArrayList<{r.choice(['', 'String', 'Map<String, Object>'])}>(Arrays.asList({', '.join(e() for _ in range(r.randrange(4)))}))",
            lambda: f"new HashMap<String, {r.choice(['Object', 'int[]'])}>() {{{{ put({text()}, {e()}); put({text()}, {e()}); }}}}",
            lambda: f"new {r.choice(['Path', 'java.io.File', 'Outer.Inner'])}({', '.join(e() for _ in range(r.randrange(3)))})",
            lambda: f"{name()}.{r.choice('fg')}({', '.join(e() for _ in range(r.randrange(3)))})",
            lambda: f"({e()})",
            lambda: f"{e()} {r.choice(['+', '*', '==', '&&', '>>>', 'instanceof'])} {e()}",
            lambda: f"({r.choice(['int', 'Foo<Bar>'])}) {e()}",
            lambda: f"{r.choice(['-', '!', '~', '++'])}{name()}",
            lambda: f"{e()} ? {e()} : {e()}",
            lambda: f"{r.choice(['x', '(x, y)', '()'])} -> {r.choice([e(), '{ return ' + e() + '; }'])}",
            lambda: r.choice(["Foo::bar", "a[0]", "/* c */ 1", "switch (a) { default -> 1; }", '"""\nt "q" t\n"""']),
        ]
        return r.choice(simple + (rich if depth < 3 else []))()

    def script(depth=0):
        e = lambda: script(depth + 1)
        simple = [text, name, lambda: r.choice(["1", "-2n", "3.5", "'c'", "true", "false", "null", "undefined", "/re/g", "`t${a}`", "this", "x => x"])]
        rich = [
            lambda: f"[{', '.join(e() for _ in range(r.randrange(4)))}]",
            lambda: "{" + ", ".join(f"{r.choice(['a', text(), '[b]', '...c'])}: {e()}" for _ in range(r.randrange(3))) + "}",
            lambda: f"new {r.choice(['Map', 'Array', 'a.B'])}({', '.join(e() for _ in range(r.randrange(3)))})",
            lambda: f"{name()}{r.choice(['.', '?.'])}f({', '.join(e() for _ in range(r.randrange(3)))})",
            lambda: f"{e()} {r.choice(['+', '**', '===', '&&', '??', 'in'])} {e()}",
            lambda: f"{r.choice(['-', '!', 'typeof ', 'await ', '...'])}{e()}",
            lambda: f"{e()} ? {e()} : {e()}",
            lambda: f"({r.choice(['x', ''])}) => {r.choice([e(), '{ return ' + e() + '; }'])}",
            lambda: f"function({r.choice(['x', ''])}) {{ return {e()}; }}",
            lambda: r.choice(["a[0]", "/* c */ 1", "(a, b)", "<b>{a}</b>", "class {}", "import.meta", "a`b`"]),
        ]
        return r.choice(simple + (rich if depth < 3 else []))()

    language = r.choice(["python", "java", "javascript"])
    value = {"python": lambda: python_values.expression(r, 2), "java": java, "javascript": script}[language]
    argument = lambda: f"{r.choice('pqr')}{r.choice([' = ', '='])}{value()}" if r.random() < 0.9 else value()
    call = lambda: f"{r.choice(['f', 'a.b.g', 'new C().m', 'a().b'])}({', '.join(argument() for _ in range(r.randrange(4)))})"
    s = ", ".join(call() for _ in range(r.choice([0, 1, 1, 1, 1, 2])))
    s = r.choice([s, f"[{s}]", f"[{s}]", f"[{s};]", f"```{s}```"])
    return language, python_values.damage(r, s) if r.random() < 0.3 else s


def decoded(n, seed):
    """Questions to the decoders, with the original's answers."""
    from bfcl_eval import utils
    from bfcl_eval.model_handler.utils import ReturnFormat, default_decode_ast_prompting

    r = random.Random(seed)
    for _ in range(n):
        language, s = sources(r)
        # In arithmetic the original runs calls and names, and may take for ever with powers.
        if language == "python" and any(op in s for op in ("**", "<<")):
            continue
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                got = default_decode_ast_prompting(s, ReturnFormat(language))
            yield [language, s], repr(got) if utils.is_function_calling_format_output(got) else "other"
        except Exception as e:
            yield [language, s], "error"


def undescribed(value):
    """Without descriptions: the hints in them are worded differently."""
    if isinstance(value, dict):
        return {k: undescribed(v) for k, v in value.items() if not (k == "description" and isinstance(v, str))}
    return [undescribed(v) for v in value] if isinstance(value, list) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("example")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=6000)
    args = parser.parse_args()
    data = args.data or Path(importlib.util.find_spec("bfcl_eval").origin).parent / "data"
    folder = data / "bfcl" if (data / "bfcl").is_dir() else data
    runner, handlers = reference()

    def ask(*command, text=None):
        run = subprocess.run([args.example, *command], input=text, capture_output=True, text=True, check=True)
        return run.stdout.split("\n")[:-1]

    def lines(path):
        return [json.loads(line) for line in open(path)] if path.exists() else []

    asked = [json.loads(line) for line in ask(str(data), "mutate", str(args.seed), str(args.n))]
    prompts, golds = {}, {}
    for category in {a["category"] for a in asked}:
        prompts |= {p["id"]: p for p in lines(folder / f"BFCL_v4_{category}.json")}
        golds |= {g["id"]: g["ground_truth"] for g in lines(folder / f"possible_answer/BFCL_v4_{category}.json")}

    bad, kinds, by_category = 0, collections.Counter(), collections.Counter()
    start = time.perf_counter()
    for a in asked:
        valid, error_type, why = judged(runner, handlers, a, prompts, golds)
        kinds[error_type or "valid"] += 1
        by_category[a["category"]] += 1
        if (valid, error_type) != (a["valid"], a["error_type"]):
            bad += 1
            if bad <= 25:
                print(f"differs: {a['id']} ({a['mode']}): {a['result']!r}\n  original {error_type} {why[:300]}\n  ours     {a['error_type']} {a['why'][:300]}", file=sys.stderr)
    seconds = time.perf_counter() - start
    for kind, count in kinds.most_common():
        print(f"{count:7} {kind}")
    print(", ".join(f"{name} {count}" for name, count in sorted(by_category.items())))
    print(f"{len(asked)} answers, {bad} disagreements (the original took {seconds:.1f} s)")

    questions = list(converted(args.n, args.seed))
    got = ask("convert", text="".join(json.dumps(q) + "\n" for q, _ in questions))
    differ = [(q, e, json.loads(g)) for (q, e), g in zip(questions, got) if json.loads(g) != e]
    for q, expected, ours in differ[:25]:
        print(f"differs: {q}\n  original {expected}\n  ours     {ours}", file=sys.stderr)
    print(f"{len(questions)} conversions, {len(differ)} disagreements")

    questions = list(decoded(args.n, args.seed))
    got = ask("decode", text="".join(json.dumps(q) + "\n" for q, _ in questions))
    # What has to be run has no value: it is kept as its source, where the original prints it anew.
    kept = lambda q: q[0] == "python" and any(word in q[1] for word in ("lambda", "yield", " for ", "f'", "u'"))
    same = lambda q, a, b: a == b or (kept(q) and "error" not in (a, b))
    differ += (wrong := [(q, e, json.loads(g)) for (q, e), g in zip(questions, got) if not same(q, json.loads(g), e)])
    for q, expected, ours in wrong[:25]:
        print(f"differs: {q}\n  original {expected}\n  ours     {ours}", file=sys.stderr)
    kinds = collections.Counter(f"{q[0]} {e if e in ('error', 'other') else 'calls'}" for q, e in questions)
    print(f"{len(questions)} answers decoded ({', '.join(f'{k} {n}' for k, n in sorted(kinds.items()))}), {len(wrong)} disagreements")

    from bfcl_eval import utils
    from bfcl_eval.constants.type_mappings import GORILLA_TO_OPENAPI
    from bfcl_eval.model_handler.utils import ModelStyle, convert_to_tool

    offered = [json.loads(line) for line in ask(str(data), "tools")]
    wrong = 0
    for category in sorted(by_category):
        entries = lines(folder / f"BFCL_v4_{category}.json")
        for entry in utils.add_language_specific_hint_to_function_doc(entries):
            prompts[entry["id"]] = convert_to_tool(entry["function"], GORILLA_TO_OPENAPI, ModelStyle.OPENAI_COMPLETIONS)
    checked = [(id, ours) for id, ours in offered if id in prompts and isinstance(prompts[id], list)]
    for id, ours in checked:
        if json.dumps(undescribed(ours), sort_keys=True) != json.dumps(undescribed(prompts[id]), sort_keys=True):
            wrong += 1
            if wrong <= 5:
                print(f"differs: tools of {id}\n  original {json.dumps(prompts[id])[:1500]}\n  ours     {json.dumps(ours)[:1500]}", file=sys.stderr)
    print(f"tools of {len(checked)} records, {wrong} disagreements")
    return 1 if bad or differ or wrong or not asked else 0


if __name__ == "__main__":
    sys.exit(main())
