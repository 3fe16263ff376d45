"""MCPToolBench++'s metrics over a run: metrics.py RUN [--hone PROGRAM] [--json]

pass@k, tool_pass@k and parameter_pass@k, the mean over tasks of 1 − C(n−c, k) / C(n, k) for n trials of which c succeeded, at
each k up to the least number of trials; AST is parameter_pass@1. Trials that failed for the infrastructure's reasons count for
nothing.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict

from score import pass_at_k

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("run")
parser.add_argument("--hone", default="hone")
parser.add_argument("--json", action="store_true")
asked = parser.parse_args()

trials = defaultdict(list)
lost = 0
try:
    export = subprocess.run([asked.hone, "trace", "export", asked.run], check=True, stdout=subprocess.PIPE)
except FileNotFoundError:
    sys.exit(f"metrics.py: there is no program {asked.hone}; put it on PATH or name it with --hone, such as target/release/hone")
for line in export.stdout.splitlines():
    episode = json.loads(line)
    if not episode["scores"]:
        lost += 1
        continue
    score = episode["scores"][0]
    parts = {part["name"].removeprefix("trial/"): part["value"] for part in score["parts"]}
    trials[episode["task"]].append({"pass": score["value"], "tool": parts["tool"], "parameter": parts["parameter"]})
if not trials:
    raise SystemExit(f"{asked.run}: no episode was scored")

fewest = min(map(len, trials.values()))
figures = {"tasks": len(trials), "trials": fewest, "lost": lost}
for name, prefix in (("pass", ""), ("tool", "tool_"), ("parameter", "parameter_")):
    for k in range(1, fewest + 1):
        each = [pass_at_k(len(of), sum(trial[name] == 1 for trial in of), k) for of in trials.values()]
        figures[f"{prefix}pass@{k}"] = sum(each) / len(each)
figures["ast"] = figures["parameter_pass@1"]
print(json.dumps(figures) if asked.json else "\n".join(f"{name:20} {value}" for name, value in figures.items()))
