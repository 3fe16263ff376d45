"""A checker as a command: reads requests, a JSON object per line, and answers each (docs/protocol.md)."""

import json
import sys


def score(task, answer, state, episode):
    """Is open.csv a table of the expected tickets? A value from 0 to 1, and why."""
    wanted = task["expected"]
    text = state["files"].get("open.csv", "")
    rows = dict(line.split(",", 1) for line in text.splitlines() if "," in line)
    right = sum(rows.get(ticket) == name for ticket, name in wanted.items())
    spare = len(rows.keys() - wanted.keys())
    return {
        "value": max(0, right - spare) / len(wanted),
        "why": f"{right} of {len(wanted)} lines are right, {spare} should not be there",
    }


for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "hello":
        result = {"protocol": 1, "name": "check.py", "version": "1"}
    else:
        result = score(**request["params"])
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
