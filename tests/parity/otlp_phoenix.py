"""Does a real receiver, Phoenix, understand the spans that we send?

    python3 tests/parity/otlp_phoenix.py PHOENIX HONE

PHOENIX is the program `phoenix` of the package `arize-phoenix` (tried with 20.26.1), HONE ours. Starts Phoenix in a folder of its
own, sends it a run, and asks its API what it got: every span once, as agent, model and tool, below the right one, with the tokens.
Exit status 0: it did.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

PATIENCE = 180


def hone(program: Path, *arguments: str) -> list:
    done = subprocess.run([program, *arguments, "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"hone {' '.join(arguments)}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url: str) -> dict:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def spans(url: str, wanted: int) -> list:
    """Of the default project, once there are as many as wanted, or patience ends."""
    end = time.monotonic() + PATIENCE
    while True:
        found, cursor = [], ""
        try:
            while cursor is not None:
                page = get(f"{url}/v1/projects/default/spans?limit=100" + (f"&cursor={cursor}" if cursor else ""))
                found += page["data"]
                cursor = page.get("next_cursor")
        except urllib.error.URLError:
            pass  # Not up yet, or nothing has come.
        if len(found) >= wanted or time.monotonic() > end:
            return found
        time.sleep(1)


def main(phoenix: Path, program: Path) -> int:
    with tempfile.TemporaryDirectory() as home:
        port = free_port()
        settings = {"PHOENIX_WORKING_DIR": home, "PHOENIX_PORT": str(port), "PHOENIX_GRPC_PORT": str(free_port()),
                    "PHOENIX_TELEMETRY_ENABLED": "false"}
        server = subprocess.Popen([phoenix, "serve"], env={**os.environ, **settings}, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                try:
                    get(f"{url}/v1/projects")
                    break
                except (urllib.error.URLError, ConnectionError):
                    time.sleep(1)
            run = f"{home}/run"
            hone(program, "eval", "shop", "--model", "script:over_eager", "--n", "40", "--no-baselines", "--out", run)
            said = hone(program, "trace", "export", run, "--format", "otlp", "--endpoint", url, "--content")[0]
            hone(program, "trace", "export", run, "--format", "otlp", "--endpoint", url, "--content")  # Again: nothing new.
            episodes = [hone(program, "trace", "show", run, e["id"])[0] for e in hone(program, "trace", "ls", run)]
            got = spans(url, said["spans"])
        finally:
            server.terminate()
            server.wait(30)
    bad = []
    kinds = Counter(span["span_kind"] for span in got)
    wanted = {"AGENT": len(episodes), "LLM": sum(len(e["model_calls"]) for e in episodes),
              "TOOL": sum(len(e["tool_calls"]) for e in episodes)}
    if kinds != wanted:
        bad.append(f"spans by kind: {dict(kinds)}, wanted {wanted}")
    errors = sum(bool(call.get("error")) for e in episodes for call in e["tool_calls"])
    if (found := sum(span["status_code"] == "ERROR" for span in got)) != errors:
        bad.append(f"{found} spans with errors, wanted {errors}")
    agents = {span["context"]["span_id"] for span in got if span["span_kind"] == "AGENT"}
    if any((span["parent_id"] in agents) == (span["span_kind"] == "AGENT") for span in got):
        bad.append("a span is not below its agent")
    tokens = sum(span["attributes"].get("llm.token_count.completion", 0) for span in got if span["span_kind"] == "LLM")
    if tokens != (made := sum(len(call["output"]) for e in episodes for call in e["model_calls"])):
        bad.append(f"{tokens} tokens, wanted {made}")
    print(f"Phoenix got {dict(kinds)}, {tokens} tokens")
    for what in bad:
        print(f"wrong: {what}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))
