"""Asks a tool server in VerlTool's contract: `ours N` or `theirs N` calls on threads, each with a connection that is kept."""

import concurrent.futures
import http.client
import json
import sys
import threading
import time
import urllib.parse

job = json.load(open(sys.argv[1]))
kept = threading.local()


def call(which, n):
    start = time.perf_counter()
    url = urllib.parse.urlsplit(job[which])
    connections = kept.__dict__.setdefault("connections", {})
    if which not in connections:
        connections[which] = http.client.HTTPConnection(url.netloc, timeout=60)
    action = f"```python\nprint(sum(i * i for i in range(100)) + {n})\n```"
    body = {"trajectory_ids": [f"{which}-{n}"], "actions": [action], "finish": [False], "is_last_step": [True]}
    connections[which].request("POST", url.path, json.dumps(body), {"Content-Type": "application/json"})
    answer = json.loads(connections[which].getresponse().read())
    if str(328350 + n) not in str(answer.get("observations")):
        sys.exit(f"{which} answered {answer}")
    return time.perf_counter() - start


with concurrent.futures.ThreadPoolExecutor(job["threads"]) as threads:
    number = 0
    for line in sys.stdin:
        which, n = line.split()
        start = time.perf_counter()
        seconds = list(threads.map(lambda i, which=which: call(which, i), range(number, number + int(n))))
        number += int(n)
        print(json.dumps({"seconds": seconds, "whole": time.perf_counter() - start}), flush=True)
