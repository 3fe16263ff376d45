"""What wire_openai.py and wire_anthropic.py share: a server that notes what it hears, conversations, our side of things."""

import json
import random
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "crates/hone-wire/tests/fixtures"
KEY = "sk-test-0123456789"


def wire(binary: str, *words: str, env: dict | None = None) -> str:
    done = subprocess.run([binary, *words], capture_output=True, text=True, env=env, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"wire {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class Peer:
    """A local server: notes each request, answers with what `answer` says."""

    def __init__(self):
        self.heard = []
        self.answer = (200, "application/json", b"{}")
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                peer.heard.append((self.path, headers, body.decode()))
                status, kind, content = peer.answer
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, fixture: str):
        kind = "text/event-stream" if fixture.endswith(".sse") else "application/json"
        self.answer = (200, kind, (FIXTURES / fixture).read_bytes())


TEXTS = ["hi", "Åre 🏔\n", 'say "x" \\ {}', " spaces ", "\u2028</tool>", "0"]
SCHEMAS = [
    {"type": "object", "properties": {}},
    {"type": "object", "properties": {"z": {"type": "number", "minimum": 0.5}, "a": {"enum": ["ü", None, 1]}}, "required": ["z"]},
]


def conversation(seed: int) -> dict:
    """A neutral request that both dialects have words for."""
    rng = random.Random(seed)
    messages = [{"role": "system", "text": rng.choice(TEXTS)} for _ in range(rng.randint(0, 2))]
    number = 0
    for _ in range(rng.randint(1, 4)):
        messages.append({"role": "user", "text": rng.choice(TEXTS)})
        parts = []
        if rng.random() < 0.4:
            parts.append({"type": "reasoning", "text": rng.choice(TEXTS), "signature": "c2ln"})
        if rng.random() < 0.7:
            parts.append({"type": "text", "text": rng.choice(TEXTS)})
        results = []
        for _ in range(rng.choice([0, 1, 3])):
            number += 1
            arguments = json.dumps({"z": rng.random(), "a": rng.choice(TEXTS)}, ensure_ascii=rng.random() < 0.5)
            parts.append({"type": "call", "id": f"call_{number}", "name": rng.choice(["f", "g"]), "arguments": arguments})
            results.append({"role": "tool", "call_id": f"call_{number}", "text": rng.choice([*TEXTS, ""]), "is_error": rng.random() < 0.3})
        if parts:
            messages.append({"role": "assistant", "parts": parts})
            messages += results
    messages.append({"role": "user", "text": rng.choice(TEXTS)})
    tools = [
        {"name": name, "description": rng.choice(["", "Does it."]), "parameters": rng.choice(SCHEMAS), **rng.choice([{}, {"strict": True}])}
        for name in rng.choice([[], ["f"], ["f", "g"]])
    ]
    settings = {"max_tokens": rng.randint(1, 4096)}
    for key, values in {
        "temperature": [0, 0.7],
        "top_p": [0.9],
        "stop": [["END"], ["a", "b"]],
        "parallel_tool_calls": [True, False],
        "tool_choice": ["auto", "none", *(["required", {"tool": "f"}] if tools else [])],
        "response_format": [{"name": "r", "schema": SCHEMAS[1], "strict": True}],
    }.items():
        if rng.random() < 0.5:
            settings[key] = rng.choice(values)
    return {"model": "some-model", "messages": messages, "tools": tools, "settings": settings}


def difference(ours, theirs, at="") -> str | None:
    """The first difference between two JSON values, types included."""
    if type(ours) is not type(theirs) and not {type(ours), type(theirs)} <= {int, float}:
        return f"{at}: {ours!r} and {theirs!r}"
    if isinstance(ours, dict):
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            if key not in ours or key not in theirs:
                return f"{at}.{key}: only {'ours' if key in ours else 'theirs'} has it"
            if found := difference(ours[key], theirs[key], f"{at}.{key}"):
                return found
        return None
    if isinstance(ours, list):
        if len(ours) != len(theirs):
            return f"{at}: {len(ours)} and {len(theirs)} entries"
        return next((d for i, (a, b) in enumerate(zip(ours, theirs)) if (d := difference(a, b, f"{at}[{i}]"))), None)
    return None if ours == theirs else f"{at}: {ours!r} and {theirs!r}"


class Report:
    def __init__(self):
        self.checks, self.bad = 0, 0

    def same(self, what: str, ours, theirs):
        self.checks += 1
        if found := difference(ours, theirs):
            self.bad += 1
            print(f"DIFFERENT {what}: {found}")

    def end(self) -> int:
        print(f"{self.checks} comparisons, {self.bad} differences")
        return 1 if self.bad or not self.checks else 0


def library(name: str):
    try:
        return __import__(name)
    except ImportError:
        print(f"skipped: the PyPI package `{name}` is not installed")
        sys.exit(0)
