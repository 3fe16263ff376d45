"""The protocol's conformance package and its inspector against our server and our client.

    python3 tests/peers/conformance.py HONE FOLDER

HONE is the program, built with the feature `mcp`. FOLDER gets the packages from npm, with the Node.js 22 that they need (also from
npm). The package's scenarios want tools and features of their own: of these we have tools (`conformance/`), and neither resources,
prompts, logging, completion, sampling nor elicitation, so those scenarios are left out. Exit status 0: all that apply hold.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

PACKAGES = ["node@22.23.3", "@modelcontextprotocol/conformance@0.1.16", "@modelcontextprotocol/inspector@2.12.0"]
SERVER = [
    "server-initialize",
    "ping",
    "tools-list",
    "tools-call-simple-text",
    "tools-call-error",
    "json-schema-2020-12",
    "server-sse-multiple-streams",
    "server-sse-polling",
    "dns-rebinding-protection",
]
# With what our client does there; the package adds the server's URL.
CLIENT = {
    "initialize": ["tools", "list", "--protocol", "initialize"],
    "tools_call": ["tools", "call", "add_numbers", '{"a": 5, "b": 3}'],
    "sse-retry": ["tools", "call", "test_reconnection"],
}

here = Path(__file__).resolve().parent
hone, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
bin = folder / "node_modules" / ".bin"
environment = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}", "NO_COLOR": "1"}


def install():
    wanted, done = "\n".join(PACKAGES), folder / "installed"
    if done.exists() and done.read_text() == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}\n')
    npm = ["npm", "install", "--prefix", str(folder), "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([*npm, *PACKAGES], check=True)
    done.write_text(wanted)


def run(command):
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)


def served(what):
    """A server over HTTP and its address."""
    command = [str(hone), "tools", "serve", what, "--http", "127.0.0.1:0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("http://"):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, line.strip()
    raise SystemExit(f"{' '.join(command)} ended before it said its address")


install()
bad = []


def told(name, output, good):
    print(f"{'ok   ' if good else 'WRONG'} {name}")
    if not good:
        bad.append(name)
        print(output[-4000:])


process, url = served(str(here / "conformance"))
try:
    for scenario in SERVER:
        done = run(["conformance", "server", "--url", url, "--scenario", scenario])
        told(f"server {scenario}", done.stdout, done.returncode == 0 and ", 0 failed" in done.stdout)
    for transport, target in {
        "http": [url, "--transport", "http"],
        "stdio": [str(hone), "tools", "serve", str(here / "conformance")],
    }.items():
        done = run(["mcp-inspector", "--cli", *target, "--method", "tools/list"])
        told(f"inspector {transport} tools/list", done.stdout, "json_schema_2020_12_tool" in done.stdout)
        done = run(["mcp-inspector", "--cli", *target, "--method", "tools/call", "--tool-name", "test_simple_text"])
        told(f"inspector {transport} tools/call", done.stdout, "This is a simple text response for testing." in done.stdout)
finally:
    process.kill()

with tempfile.TemporaryDirectory() as scratch:
    for scenario, arguments in CLIENT.items():
        client = Path(scratch) / scenario
        client.write_text(f"#!/usr/bin/env python3\nimport os, sys\nos.execv({str(hone)!r}, {[str(hone), *arguments, '--url']!r} + sys.argv[1:])\n")
        client.chmod(0o755)
        done = run(["conformance", "client", "--scenario", scenario, "--command", str(client)])
        told(f"client {scenario}", done.stdout, done.returncode == 0)
print(json.dumps({"wrong": bad}))
sys.exit(bool(bad))
