"""Starts a Python for each call, as simple tool servers do: `alone N` one after the other, `together N` on threads."""

import concurrent.futures
import json
import subprocess
import sys
import time

job = json.load(open(sys.argv[1]))


def call(_):
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", job["code"]], capture_output=True, text=True, timeout=30)
    if done.stdout != job["answer"]:
        sys.exit(f"a call printed {done.stdout!r} and {done.stderr!r}")
    return time.perf_counter() - start


with concurrent.futures.ThreadPoolExecutor(job["threads"]) as threads:
    for line in sys.stdin:
        how, n = line.split()
        start = time.perf_counter()
        seconds = list(map(call, range(int(n))) if how == "alone" else threads.map(call, range(int(n))))
        print(json.dumps({"seconds": seconds, "whole": time.perf_counter() - start}), flush=True)
