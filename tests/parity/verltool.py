"""Holds `hone serve tools --verltool` to VerlTool's own tool server: the same requests to both, the answers compared.

    PYTHON verltool.py CHECKOUT HONE

CHECKOUT is one of TIGER-AI-Lab/verl-tool; PYTHON has what its server imports (fastapi, fire, uvicorn, httptools, regex, tqdm, ray).
Compared are status, observations, dones and valids; of an error its last line, since files and lines have other names.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

checkout, hone = (os.path.abspath(path) for path in sys.argv[1:3])

CODE = [
    "print('Hello from Python!')",
    "x = 10\nprint(f'Value of x is {x}')",
    "print(x)",
    "raise ValueError('this is a test')",
    "prnit('typo')",
    "import math\nprint(math.pi)",
    "for i in range(5):\n    print(i, end=' ')",
    "1 + 1",
    "print('é' * 3)",
    "",
    "print('a\\n\\n')",
    "print('b'); 1/0",
    "print(input())",
    "import sys\nprint(sys.stdin.read())",
    "print('x' * 200000)",
]
FORMS = [
    "<python>{}</python> ...",
    "I think.\n```python\n{}\n``` and so on",
    "```python\n{}\n```\n```output",
    "```py\n{}\n```",
    "```\npython\n{}\n```",
    "<python>{}</python>\n<result>",
    "```python\n{}\n```\n```input\n42\n```",
    "<python>{}</python> <tool_call>{{}}</tool_call>",
]
BODIES = [
    {"trajectory_ids": ["a"], "actions": []},
    {"trajectory_ids": [], "actions": []},
    {"trajectory_ids": ["a"]},
    {"trajectory_ids": "a", "actions": ["x"]},
    {"trajectory_ids": ["a"], "actions": [1]},
    {"trajectory_ids": ["a", "b"], "actions": ["x"]},
    {"trajectory_ids": ["a"], "actions": ["x"], "extra_fields": [{}, {}]},
    {"trajectory_ids": ["a"], "actions": ["x"], "extra_fields": ["x"]},
    {"trajectory_ids": ["a"], "actions": ["x"], "finish": "x"},
    {"trajectory_ids": ["a"], "actions": [""], "finish": [True]},
    {"trajectory_ids": ["a"], "actions": [""], "extra_fields": [{"finish": True}]},
    {"trajectory_ids": ["a"], "actions": ["nothing"], "finish": [False], "is_last_step": [True]},
    {"trajectory_ids": ["a"], "actions": ["<python>print(input())</python>"], "extra_fields": [{"stdin": "from the row"}]},
    {"trajectory_ids": ["a", "b"], "actions": ["<python>print(1)</python>", ""], "finish": [False, True]},
    {"trajectory_ids": ["a"], "actions": ["<tool_call>{\"name\": \"python\", \"arguments\": {\"code\": \"1\"}}</tool_call>"]},
]


def ask(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None


def plain(observation):
    """Without what has other names here: files, lines, the tools' usage, marks under a line, guesses at what was meant."""
    if isinstance(observation, dict):
        return {**observation, "available_tools": None}
    text = re.sub(r'Traceback \(most recent call last\):\n(?:[ \t].*\n)*', "Traceback\n", observation)
    return re.sub(r"\nHint: .*|\. Did you mean: .*", "", text)


def compared(answer):
    status, body = answer
    if body is None:
        return (status,)
    if not all(isinstance(body[key], float) for key in ("processing_time_ms", "queue_time_ms")):
        sys.exit(f"times are missing: {body}")
    return status, [plain(o) for o in body["observations"]], body["dones"], body["valids"]


with tempfile.TemporaryDirectory() as folder:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    original = subprocess.Popen(
        [sys.executable, "-m", "verl_tool.servers.tool_server", "--tool_type", "python_code", "--host", "127.0.0.1"]
        + ["--port", str(port), "--log_level", "warning"],
        cwd=folder, env={**os.environ, "PYTHONPATH": checkout}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    ours = subprocess.Popen(
        [hone, "serve", "tools", "--verltool", "--http", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    )
    try:
        urls = [f"http://127.0.0.1:{port}/get_observation", next(line.split()[0] for line in ours.stderr if line.startswith("http://"))]
        for _ in range(600):
            try:
                urllib.request.urlopen(urls[0].replace("get_observation", "health"), timeout=5).close()
                break
            except OSError:
                if original.poll() is not None:
                    sys.exit("VerlTool's server does not start; install what it misses")
                time.sleep(0.2)
        actions = [form.format(code) for form in FORMS for code in CODE]
        bodies = BODIES + [{"trajectory_ids": [str(n)], "actions": [action]} for n, action in enumerate(actions)]
        differ = 0
        for body in bodies:
            theirs, our = (compared(ask(url, body)) for url in urls)
            if theirs != our:
                differ += 1
                print(f"{json.dumps(body)[:300]}\n  theirs {str(theirs)[:600]}\n  ours   {str(our)[:600]}")
        print(f"{len(bodies)} requests, {differ} answers differ")
        sys.exit(differ > 0)
    finally:
        for server in (original, ours):
            server.terminate()
            server.wait()
