"""Do our verifiers of NeMo Gym reward responses as its servers do?

    pip install pydantic openapi-schema-validator==0.6.3
    cargo build --release -p hone-nemo-gym --example verify
    python tests/parity/nemo_gym.py CHECKOUT target/release/examples/verify [--data DIR] [--n 40] [--seed 0]

CHECKOUT is a checkout of NVIDIA-NeMo/Gym; DIR holds nemo-gym/*.jsonl. The example makes right responses; from them come N
wrong and nearly right ones per row, by seeded edits, and both sides reward them. Of the original only the servers' own code
runs: its framework, the web server and the recording of metrics are replaced by stubs. Where the original raises, we must
say that it does. Servers that reward what a session has kept are left out. Exit status 0: no disagreement.
"""

import argparse
import asyncio
import collections
import html
import html.entities
import importlib
import importlib.util
import inspect
import json
import math
import random
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pydantic

ROOT = Path(__file__).resolve().parents[2]
SESSION = {"example_session_state_mgmt", "example_mcp_weather", "example_multi_turn_gymnasium"}
CLASSES = {}
CHECKOUT = Path()
CONFIG = {
    "single_step_tool_use_with_argument_comparison": {"word_count_similarity_threshold": 0.1},
    "equivalence_rule": {"grading_rule": "exact"},
    "terminal_multi_harness": {"tool_call_comparator_config": {"string_similarity_threshold": 0.9}},
}


def stub(name, **attributes):
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    module.__path__ = []
    sys.modules[name] = module
    return module


class Anything:
    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return Anything()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", arbitrary_types_allowed=True)


class RunRequest(Open):
    responses_create_params: Any = None


class VerifyRequest(RunRequest):
    response: Any = None


class VerifyResponse(VerifyRequest):
    reward: float


class Server(Open):
    config: Any = None


class Said(types.SimpleNamespace):
    """A response, whose JSON some servers read."""

    def model_dump(self):
        return self.raw


def distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        corner, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            corner, row[j + 1] = row[j + 1], min(corner + (x != y), row[j + 1] + 1, row[j] + 1)
    return row[-1]


def stubs(checkout):
    sys.path.insert(0, str(checkout))
    import enum

    mode = enum.Enum("ReverifyMode", "STATELESS UNKNOWN STATEFUL")
    stub("nemo_gym")
    # Texts of these formats are not compared.
    for package in ("yaml", "xmltodict"):
        if importlib.util.find_spec(package) is None:
            stub(package)
    stub(
        "nemo_gym.base_resources_server",
        BaseResourcesServerConfig=Open,
        BaseRunRequest=RunRequest,
        BaseVerifyRequest=VerifyRequest,
        BaseVerifyResponse=VerifyResponse,
        BaseMultiRewardVerifyResponse=VerifyResponse,
        BaseSeedSessionRequest=Open,
        BaseSeedSessionResponse=Open,
        SimpleResourcesServer=Server,
        ReverifyMode=mode,
    )
    nothing = lambda *args, **kwargs: {}
    stub("nemo_gym.reward_profile", compute_pass_majority_metrics=nothing, compute_subset_metrics=nothing, highest_k_metrics=nothing)
    stub("nemo_gym.openai_utils", NeMoGymResponse=Any)
    stub("nemo_gym.server_utils", SESSION_ID_KEY="id")
    stub("fastapi", FastAPI=Anything, Request=Any, HTTPException=Exception)
    stub("fastapi.responses", PlainTextResponse=Anything)
    stub("editdistance", eval=distance)


def server(name):
    if name not in CLASSES:
        # Some servers import their neighbours by bare names, as if run from their own folder.
        for neighbour in ("utils", "scorer"):
            sys.modules.pop(neighbour, None)
        sys.path.insert(0, str(CHECKOUT / "resources_servers" / name))
        module = importlib.import_module(f"resources_servers.{name}.app")
        sys.path.pop(0)
        own = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Server) and c.__module__ == module.__name__]
        (server_class,) = own
        annotation = server_class.model_fields["config"].annotation
        config = CONFIG.get(name, {})
        if name.startswith("single_step"):
            config = {"tool_call_comparator_config": config}
        built = annotation(**config) if isinstance(annotation, type) else annotation
        request = [
            c for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, VerifyRequest) and n.endswith("VerifyRequest")
        ]
        request = [c for c in request if c is not VerifyRequest and c.__module__ == module.__name__] or request
        CLASSES[name] = server_class(config=built), request[-1]
    return CLASSES[name]


def item(raw):
    raw = dict(raw)
    if raw["type"] == "message":
        raw["content"] = [types.SimpleNamespace(**part) for part in raw["content"]]
    if raw["type"] == "reasoning":
        raw["summary"] = [types.SimpleNamespace(**part) for part in raw["summary"]]
    return types.SimpleNamespace(**raw)


def reference(name, row, output, details):
    instance, request = server(name)
    items = [item(raw) for raw in output]
    text = "".join(part.text for it in items if it.type == "message" for part in it.content)
    response = Said(output=items, output_text=text, raw={"output": output})
    response.error = None
    response.incomplete_details = details and types.SimpleNamespace(**details)
    params = dict(row["responses_create_params"])
    if isinstance(params.get("input"), list):
        params["input"] = [types.SimpleNamespace(**message) for message in params["input"]]
    params.setdefault("tools", None)
    try:
        fields = {k: v for k, v in row.items() if k not in ("responses_create_params", "response")}
        body = request(**fields, responses_create_params=types.SimpleNamespace(**params), response=response)
        session = [types.SimpleNamespace(session={"id": 0})] if len(inspect.signature(instance.verify).parameters) == 2 else []
        return {"reward": asyncio.run(instance.verify(*session, body)).reward}
    except Exception as error:  # the server would answer 500
        return {"error": f"{type(error).__name__}: {error}"}


# Fields of rows that are varied too, since the examples show few of their values.
VARIED = {
    "mcqa": {
        "grading_mode": ["strict_single_letter_boxed", "lenient_boxed", "lenient_answer_colon", "lenient_answer_colon"],
        "template_metadata": [None, None, {"output_regex": r"answer\s*:\s*(\w+)"}, {"output_regex": ["box.(\\w)", "is \\w"]}, {"output_regex": "(("}],
    },
    "gpqa_diamond": {"template_metadata": [None, {"output_regex": r"answer is (.+)"}]},
    "string_match": {
        "extraction_mode": ["boxed", "final_answer", "last_line", "full_response"],
        "case_sensitive": [False, False, True],
        "expected_answer": ["Paris", "1,234.5", "50%", "90°", "x^2 km", r"\text{New York}", "a, b and c", "Lima, Ohio", "\"quoted\"", "½", "3.14", "-7", "$5"],
    },
    "ruler2": {"match_type": ["all", "part", "2steps"], "expected_answer": [["a b c", "d"], ["1"], "B", []], "eval_type": ["ruler2", "ruler2", "multichoice"]},
    "ruler": {"subset": ["qa_1", "vt", "cwe"], "outputs": [["a", "B"], ["1", "2", "x"]]},
    "hotpotqa_qa": {
        "expected_answer": ["The Beatles", "yes", "U.S. Army", "Rock & Roll", "Tom and Jerry", "1,234,567", "twenty", "3rd", "Marc-André (born 1950)", "\"Help!\"", "a", "New York City."],
    },
    "imo_gradingbench": {"expected_answer": ["Correct", " partial ", "almost", "wrong"]},
    "graphwalks": {"expected_answer": ['["a", "b", "a"]', "[]", "no json", "[1]"]},
    "lc_niah": {"expected_answer": ['["a", "b", "a"]', "[]", "no json"]},
    "format_verification": {
        "verifier": [
            {"type": "string_match", "expected_markers": ["[1]", "(a)"], "patterns": [r"\[\d\]"]},
            {"type": "regex", "verify_regex": [r"^\s*[-*] ", r"^\d+\. "], "verify_min_matches": 2},
            {"type": "inline_prose", "verify_regex": [r"\*\*.+\*\*"]},
            {"type": "other"},
        ],
    },
    "gui_coordinate": {"expected_answer": ["0.5,0.5", "0.1, 0.9", "1", "a,b", "1,2,3"], "max_dist": [0.1, 0.5]},
    "ragtruth": {"is_halu": [True, False]},
    "bunsenbench_chemistry_mcq": {
        "options": [
            [{"A": "CO2"}, {"B": "SO₄²⁻"}, {"C": "5 &mu;m &times; 2"}, {"D": "x &lt; y"}],
            [{"a": "1"}, {"b": "É"}, {"C": None}, {"D": "The answer"}],
            None,
        ],
        "choices": [["CO2", {"letter": "b", "text": "SO4 2-"}, {"id": 3, "value": "z"}, {"label": "D", "content": "x < y"}], None],
        "expected_answer": ["A", "(b).", "CO2", "SO4 2−", "5 μm x 2", "nothing", ""],
    },
    "structured_outputs": {"response_mode": ["tool_call", "tool_call", "text"], "tool_payload_key": [None, "extraction", "result"]},
    "citation_if": {"verifier": []},
    "terminal_multi_harness": {"threshold": [0.5, None]},
}
FORMS = ["cite_xml", "ascii_brackets", "claim_wrap_xml", "fullwidth_brackets", "ref_colon", "double_angle", "web_brackets", "paren_part"]
FORMS += ["markdown_footnote", "curly_double", "angle_pipe", "other"]
for form in FORMS:
    for more in (
        {"id_kind": "snippet"},
        {"expected_ids": ["citation_1"], "valid_id_set": ["citation_1", "citation_2"], "expected_slack": 0},
        {"id_regex": "citation_[a-z0-9]+", "valid_id_set": ["citation_1", "citation_2", "citation_xy"], "min_valid_citations": 2},
        {"mode": "no_cite"},
    ):
        VARIED["citation_if"]["verifier"].append({"grammar": form, "valid_id_set": ["citation_1", "citation_2:snippet_1"], **more})

# The harnesses of the terminal, with a call each that they compare in a way of their own.
ACTIONS = [
    ("codex", "exec_command", {"cmd": "ls -la /workspace"}),
    ("codex", "update_plan", {"plan": [{"step": "a", "status": "pending"}]}),
    ("agent006", "execute_python", {"code": "print(1 + 1)\nprint('two')"}),
    ("agent006", "return_result", {"result": {"b": [1, 2.5, None], "a": "text"}}),
    ("opencode", "bash", {"command": "git status --short", "timeout": 10}),
    ("opencode", "todowrite", {"todos": [{"status": "done", "priority": "high"}, {"status": "open"}]}),
    ("opencode", "read", {"filePath": "/a/b.py", "limit": 5}),
    ("opencode", "edit", {"filePath": "/a/b.py", "oldString": "x", "newString": "y", "replaceAll": True}),
    ("opencode", "grep", {"pattern": "a.*", "path": "/a"}),
    ("opencode", "webfetch", {"url": "http://x", "format": "text"}),
    ("stirrup", "web_search", {"query": "Weather in Paris today"}),
    ("stirrup", "fetch_web_page", {"url": "http://x.org/A"}),
    ("stirrup", "finish", {"reason": "All of it is done", "paths": ["/a", " /b "]}),
    ("generic", "anything", {"n": 3, "x": 1.5, "on": False}),
]
KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def terminal(rng, row):
    """The row with another harness, and its call."""
    harness, tool, arguments = rng.choice(ACTIONS)
    properties = {key: {"type": KINDS[type(value)]} for key, value in arguments.items()}
    for value in properties.values():
        if rng.random() < 0.2:
            value.pop("type")
    schema = {"type": "object", "properties": properties, "required": [k for k in arguments if rng.random() < 0.5]}
    if rng.random() < 0.5:
        schema["additionalProperties"] = rng.random() < 0.3
    call = {"type": "function_call", "name": tool, "arguments": json.dumps(arguments)}
    calls = [call] * rng.choice([1, 1, 1, 2])
    action = call if len(calls) == 1 else {"type": "function_call_batch", "calls": calls}
    tools = [{"type": "function", "name": tool, "parameters": schema}]
    if rng.random() < 0.3:
        tools = [{"type": "function", "function": {"name": tool, "parameters": schema}}]
    row = {**row, "harness": harness, "expected_action": action, "declared_tools": tools}
    return row, [dict(call) for call in calls]


# Calls of coding agents, by pairs that may be of a kind.
STEPS = [
    ("str_replace_editor", {"command": "str_replace", "path": "/w/p/foo.py", "old_str": "return None", "new_str": "return sum(values)"}),
    ("edit_file", {"file_path": "src/p/foo.py", "old_str": "return None", "new_str": ""}),
    ("apply_patch", {"patch": "*** Begin\n+line\n-line\n" * 20}),
    ("WriteFile", {"filename": "a.txt", "content": "hello\nworld"}),
    ("str_replace_editor", {"command": "view", "path": "/w/p/foo.py", "view_range": [10, 40]}),
    ("str_replace_editor", {"command": "view", "path": "/w/p/foo.py", "view_range": "[5, \"38\"]"}),
    ("execute_bash", {"command": "cd /w/p && python -m pytest tests/test_foo.py -x"}),
    ("shell", {"cmd": "/usr/bin/grep -rn 'total' ./src/p/foo.py"}),
    ("grep", {"pattern": "total", "path": "/w/p/foo.py"}),
    ("find_files", {"pattern": "*.py", "path": "p/foo.py"}),
    ("read_file", {"path": "/w/p/foo.py"}),
    ("finish", {"message": "done"}),
    ("think", {"thought": "hm"}),
    ("UpdatePlan", {"plan": ["a"]}),
    ("own_tool", {"x": 1}),
]


def step(rng, row):
    """The row with another expected step, in one of the places where it may stand, and its call."""
    name, arguments = rng.choice(STEPS)
    told = arguments if rng.random() < 0.2 else json.dumps(rng.choice([arguments, arguments, arguments, edited_arguments(rng, arguments), [1], "path"]))
    action = {"type": "function_call", "name": name, "arguments": told}
    row = {k: v for k, v in row.items() if k not in ("expected_action", "expected_answer", "metadata")}
    row |= rng.choice([{"expected_action": action}, {"expected_answer": json.dumps(action)}, {"metadata": {"expected_action": action}}])
    if rng.random() < 0.3:
        name, arguments = rng.choice(STEPS)
    said = json.dumps(arguments) if rng.random() < 0.9 else rng.choice(["[1]", '"command"', "{", "7", "null", '["path"]'])
    return row, [{"type": "function_call", "name": name, "arguments": said}]


def injected(rng, row):
    """The row's call with what the injected text asks for."""
    injection = dict(row["injection"])
    if rng.random() < 0.3:
        injection["verification_type"] = rng.choice(["check_grade_submitted", "other", "check_message_sent"])
    calls = [{"type": "function_call", "name": injection["target_tool"], "arguments": json.dumps(injection["target_args"])}]
    calls += [{"type": "function_call", "name": tool, "arguments": ""} for tool in row["required_tools"]]
    return {**row, "injection": injection}, calls


def cited(rng, row):
    """The row, and an answer with citations in its form."""
    written = {"cite_xml": "<cite>{}</cite>", "claim_wrap_xml": '(cite index="{}">It is so</cite>', "fullwidth_brackets": "【{}】"}
    written |= {"ref_colon": "[ref:{}]", "double_angle": "<<{}>>", "web_brackets": "[web:{}]", "paren_part": "({})"}
    written |= {"markdown_footnote": "[^{}]", "curly_double": "{{{{{}}}}}", "angle_pipe": "<ref|{}>"}
    row = varied(rng, "citation_if", row)
    form = written.get(row["verifier"]["grammar"], "[{}]")
    if rng.random() < 0.1:
        form = rng.choice(list(written.values()))
    ids = [*row["verifier"].get("valid_id_set", []), "citation_1", "citation_2,citation_1", "citation_xmpl", "CİTATION_9"]
    parts = [rng.choice(["It is so. ", "So ", "", " (", "<cite", "</cite >"]) if rng.random() < 0.2 else "It is so. "]
    parts += [form.format(rng.choice(ids)) for _ in range(rng.randrange(4))]
    return row, [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": " ".join(parts)}]}]


def structured(rng, row):
    """The row with another schema, and what it allows, as text or as a call."""
    row = {**row, "response_mode": rng.choice(["tool_call", "text"]), "schema_type": "json"}
    value, schema = {}, {"type": "object", "properties": {}}
    for name in rng.sample(["a", "properties", "pattern", "type", "n", "é"], 3):
        if name == "properties" and rng.random() < 0.7:
            continue
        kind, made = rng.choice(
            [("string", "x"), ("integer", 3), ("number", 2.5), ("boolean", True), ("array", [1]), (["null", "string"], None), ("object", {"k": 1})]
        )
        own = {"type": kind}
        if kind == "array":
            own["items"] = {"type": "integer"}
        if kind == "object":
            own["properties"] = {"k": {"enum": [1, "1"]}}
        schema["properties"][name], value[name] = own, made
    if rng.random() < 0.5:
        value = edited_arguments(rng, value)
    row["schema_str"] = json.dumps(schema)
    if row["response_mode"] == "text":
        return row, [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": json.dumps(value)}]}]
    if row.get("tool_payload_key"):
        value = {row["tool_payload_key"]: value}
    return row, [{"type": "function_call", "name": row["tool_name"], "arguments": json.dumps(value)}]


MADE = {"structured_outputs": structured, "terminal_multi_harness": terminal, "swe_pivot": step, "indirect_prompt_injection": injected, "citation_if": cited}


def varied(rng, server, row):
    row = dict(row)
    for key, values in VARIED.get(server, {}).items():
        if rng.random() < 0.5:
            row[key] = rng.choice(values)
    return row


PIECES = [
    "\\boxed{", "}", "\\text{", "Answer: ", "Final answer: ", "Final Answer: [", "]", "[", ", ", "; ", ".", "!", "\n", "\n\n", " ", "A", "B", "C", "D",
    "a", "1", "0", "2.5", "1,000", "%", "$", "°", "²", "π", "<think>", "</think>", "```json\n", "```", "{\"answer\": \"x\"}", "the ", "An ", "both of them",
    "neither", " or ", " and ", "(", ")", "\"", "'", "**", "- ", "é", "ß", "İ", "ﬁ", "Ａ", "\u00a0", "\u2028", "\r\n", "-", "_", "<point>(500, 500)</point>",
    "null", "true", "correct", "partial.", "<best_solution>1</best_solution>", "am", "10:30", "Document 1:\n", "The final answer is B",
    "- item\n- item\n- item\n", "<choice>", "</choice>", "<choices>", "</choices>", "<answer>B</answer>", "&mu;", "&lt", "&#50;", "₄", "⁻", "−", "option b)", "I choose ",
    "the correct answer is ", "cİtation_1", "<cite>", "\x1c", "citation_2", "# Title\n", "1. one\n2. two\n3. three\n", "**bold**\n", "| a | b |\n", "* item\n", "## Part\n",
]


def edited(rng, text):
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        at = rng.randrange(len(text) + 1)
        kind = rng.randrange(9)
        if kind == 0:
            text = text[:at] + rng.choice(PIECES) + text[at:]
        elif kind == 1:
            text = rng.choice(PIECES) + text
        elif kind == 2:
            text = text + rng.choice(PIECES)
        elif kind == 3:
            text = text[:at] + text[at + rng.choice([1, 1, 2, 5]) :]
        elif kind == 4:
            text = rng.choice([str.upper, str.lower, str.title, str.strip, str.swapcase])(text)
        elif kind == 5:
            text = text + rng.choice(["", " ", "\n"]) + text[at:]
        elif kind == 6:
            text = text[:at]
        elif kind == 7:
            words = text.split(" ")
            rng.shuffle(words)
            text = " ".join(words)
        else:
            text = text.replace(rng.choice(["a", "1", " ", ",", "{", "\\"]), rng.choice(["b", "2", "  ", ";", "", "1.0"]))
    return text


def edited_value(rng, value):
    if isinstance(value, bool):
        return rng.choice([not value, int(value), str(value)])
    if isinstance(value, (int, float)):
        return rng.choice([value + 1, float(value), value + 1e-7, str(value), -value, None])
    if isinstance(value, str):
        return rng.choice([edited(rng, value), value.upper(), value + " more words", [value], ""])
    if isinstance(value, list):
        value = [edited_value(rng, v) if rng.random() < 0.5 else v for v in value]
        return rng.choice([value, value[::-1], value + value[:1], value[1:]])
    if isinstance(value, dict):
        return edited_arguments(rng, value)
    return rng.choice([0, "", {}])


def edited_arguments(rng, arguments):
    arguments = dict(arguments)
    for _ in range(rng.choice([1, 1, 2])):
        kind = rng.randrange(5)
        if kind == 0 and arguments:
            arguments.pop(rng.choice(list(arguments)))
        elif kind == 1:
            arguments[rng.choice(["extra", "a", "city"])] = rng.choice([1, "x", None, [1]])
        elif arguments:
            key = rng.choice(list(arguments))
            arguments[key] = edited_value(rng, arguments[key])
    items = list(arguments.items())
    rng.shuffle(items)
    return dict(items)


def mutate(rng, output, others):
    output = [dict(raw) for raw in output]
    for _ in range(rng.choice([1, 1, 2])):
        kind = rng.randrange(8)
        if kind == 0 and others:
            output = [dict(raw) for raw in rng.choice(others)]
        elif kind == 1 and output:
            output.insert(rng.randrange(len(output) + 1), dict(rng.choice(output)))
        elif kind == 2 and len(output) > 1:
            output.pop(rng.randrange(len(output)))
        elif kind == 3:
            text = rng.choice(PIECES)
            output.append({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
        elif kind == 4 and rng.random() < 0.2:
            output.insert(0, {"type": "reasoning", "summary": [{"text": rng.choice(PIECES) * 3}]})
        elif output:
            at = rng.randrange(len(output))
            raw = dict(output[at])
            if raw["type"] == "message":
                raw["content"] = [{"type": "output_text", "text": edited(rng, part["text"])} for part in raw["content"]]
            elif raw["type"] == "function_call":
                if rng.random() < 0.15:
                    raw["name"] = rng.choice(["other", raw["name"] + "x"])
                elif rng.random() < 0.15:
                    raw["arguments"] = edited(rng, raw["arguments"])
                else:
                    try:
                        arguments = json.loads(raw["arguments"])
                        raw["arguments"] = json.dumps(edited_arguments(rng, arguments) if isinstance(arguments, dict) else arguments)
                    except ValueError:
                        pass
            elif raw["type"] == "function_call_output":
                raw["output"] = edited(rng, raw["output"])
            output[at] = raw
    return output


def unescaped(rng, example):
    """Every named reference of HTML, whole and in bad company, every number that may be special, and random text."""
    texts = [form.format(name) for name in html.entities.html5 for form in ("&{}", "&{}x", "a&{}; b", "&{}&")]
    texts += ["&" + name[:-1] for name in html.entities.html5]
    for number in [*range(0x180), *range(0xD7F0, 0xE010), *range(0xFDC0, 0xFE00), *range(0xFFF0, 0x10010), *range(0x10FFF0, 0x110010)]:
        texts += [f"&#{number};", f"&#x{number:x}", f"&#X{number:05X};z"]
    alphabet = "&#xX;am plt0123456789<\n\t\x0cé"
    texts += ["".join(rng.choice(alphabet) for _ in range(rng.randrange(40))) for _ in range(5_000)]
    told = "".join(json.dumps(text) + "\n" for text in texts)
    ours = subprocess.run([example, "unescape"], input=told, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    ours = [json.loads(line) for line in ours.split("\n") if line]
    assert len(ours) == len(texts), (len(ours), len(texts))
    wrong = [(text, said, html.unescape(text)) for text, said in zip(texts, ours) if said != html.unescape(text)]
    print(f"html.unescape: {len(texts)} texts, {len(wrong)} differ", *wrong[:10], sep="\n  ")
    if wrong:
        sys.exit(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=Path)
    parser.add_argument("example", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    parser.add_argument("--n", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only")
    args = parser.parse_args()
    global CHECKOUT
    CHECKOUT = args.checkout.resolve()
    stubs(CHECKOUT)
    gold = subprocess.run([args.example, "gold", args.data], check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in gold.split("\n") if line]
    rows = [row for row in rows if row["server"] not in SESSION and args.only in (None, row["server"])]
    rng = random.Random(args.seed)
    outputs = collections.defaultdict(list)
    for row in rows:
        if row["output"] is not None:
            outputs[row["server"]].append(row["output"])
    cases = []
    for row in rows:
        text = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}]
        base = row["output"] if row["output"] is not None else text
        cases += [{**row, "output": base}, {**row, "output": []}]
        for _ in range(args.n):
            fields = varied(rng, row["server"], row["row"])
            said = mutate(rng, base, outputs[row["server"]])
            if row["server"] in MADE and rng.random() < 0.8:
                fields, said = MADE[row["server"]](rng, fields)
                if rng.random() < 0.7:
                    said = mutate(rng, said, [])
            if fields.get("expected_answer") != row["row"].get("expected_answer") and rng.random() < 0.5:
                text = rng.choice(["{}", "Answer: {}", "\\boxed{{{}}}", "Final Answer: [{}]", "The final answer is {}", '{{"answer": "{}"}}'])
                text = edited(rng, text.format(fields["expected_answer"]))
                said = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}]
            details = {"reason": rng.choice(["max_output_tokens", "content_filter"])} if rng.random() < 0.05 else None
            cases.append({**row, "row": fields, "output": said, "incomplete_details": details})
    if args.only in (None, "bunsenbench_chemistry_mcq"):
        unescaped(rng, args.example)
    told = "".join(json.dumps(case) + "\n" for case in cases)
    ours = subprocess.run([args.example, "judge"], input=told, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    ours = [json.loads(line) for line in ours.split("\n") if line]
    assert len(ours) == len(cases), (len(ours), len(cases))
    counts, wrong = collections.defaultdict(collections.Counter), []
    for case, said in zip(cases, ours):
        truth = reference(case["server"], case["row"], case["output"], case.get("incomplete_details"))
        same = ("error" in said) == ("error" in truth) and (
            "error" in said or math.isclose(said["reward"], truth["reward"], rel_tol=0, abs_tol=1e-12)
        )
        counts[case["server"]]["same" if same else "DIFFERS"] += 1
        counts[case["server"]]["rewarded" if truth.get("reward") else "not"] += 1
        if not same:
            wrong.append((case, said, truth))
    for name, count in sorted(counts.items()):
        print(f"{name:50}{count['same']:6} equal{count['DIFFERS']:5} differ{count['rewarded']:6} rewarded")
    for case, said, truth in wrong[:10]:
        print(f"\n{case['server']}: here {said}, there {truth}")
        print(json.dumps(case["output"], ensure_ascii=True)[:600])
        print(json.dumps({k: v for k, v in case["row"].items() if k != "responses_create_params"}, ensure_ascii=True)[:600])
    print(f"{len(cases)} responses, {len(wrong)} differ")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
