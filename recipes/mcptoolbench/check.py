"""The checker of these projects (docs/protocol.md): scores an episode as one trial of MCPToolBench++."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import score


def judge(task, episode):
    expected = task["expected"]
    trial = score.trial(episode["tool_calls"], expected["labels"], expected["call_type"])
    wrong = [name for name in ("tool", "parameter", "execution") if not trial[name]]
    if trial["steps"] < 1 and expected["call_type"] != "single":
        wrong.append("steps")
    parts = [{"name": name, "value": float(trial[name]), "why": ""} for name in ("tool", "parameter", "execution", "steps")]
    return {"value": float(trial["passed"]), "why": f"wrong: {', '.join(wrong)}" if wrong else "", "parts": parts}


for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "hello":
        result = {"protocol": 1, "name": "mcptoolbench", "version": "1"}
    else:
        result = judge(request["params"]["task"], request["params"]["episode"])
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
