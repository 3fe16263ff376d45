"""What MCPToolBench++ counts, over one trial. Read `README.md` for where this departs from the original, and why.

The original: arXiv 2508.07575 and github.com/mcp-tool-bench/MCPToolBenchPP. Nothing here is copied from it.
"""

import math


def empty(data) -> bool:
    """Whether a result says nothing: [], a list whose first element has no length, "", "[]", '""', or an object whose values
    put together are the empty text. Where the original fails (a number in a list, values that are no text), not empty."""
    if data is None:
        return True
    if isinstance(data, list):
        return not data or (isinstance(data[0], (str, list, dict)) and len(data[0]) == 0)
    if isinstance(data, str):
        return data.strip() in ("", "[]", '""')
    if isinstance(data, dict):
        return all(value == "" for value in data.values())
    return False


def ran(call) -> bool:
    """The call came back without an error and with something in it (`if_pass`)."""
    data = call["result"] if call["result"] is not None else call["shown"]
    return not call.get("error") and not empty(data)


def same_tool(call, label) -> bool:
    """The label's tool, or one that the label calls similar."""
    similar = label.get("similar_tools") or []
    return call["tool"] in [label["name"], *(tool["name"] for tool in similar)]


def same_value(got, wanted) -> bool:
    """Whether two values mean the same, as the original tells its judge, without a judge: texts but for case, spaces and a
    leading `./`; numbers to one decimal if they have some; numbers and truth values also as text; lists and objects part by part."""
    if isinstance(wanted, str) and isinstance(got, (bool, int, float)):
        return same_value(wanted, got)
    if isinstance(wanted, bool):
        return got is wanted or (isinstance(got, str) and got.strip().casefold() == str(wanted).casefold())
    if isinstance(wanted, (int, float)):
        try:
            number = float(got) if not isinstance(got, (bool, list, dict, type(None))) else math.nan
        except ValueError:
            return False
        whole = float(wanted).is_integer() and number.is_integer()
        return number == wanted if whole else math.isfinite(number) and abs(number - wanted) < 0.05 + 1e-9
    if isinstance(wanted, str):
        plain = lambda text: " ".join(text.split()).casefold().removeprefix("./").rstrip("/")
        return isinstance(got, str) and plain(got) == plain(wanted)
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(same_value, got, wanted))
    if isinstance(wanted, dict):
        return isinstance(got, dict) and same_parameters(got, wanted)
    return got == wanted


def same_parameters(got: dict, wanted: dict) -> bool:
    """Parameters that both name must agree; those that only one of them names do not count."""
    return all(same_value(got[name], wanted[name]) for name in wanted.keys() & got.keys())


def matches(call, label) -> bool:
    return same_tool(call, label) and isinstance(call["arguments"], dict) and same_parameters(call["arguments"], label["input"])


def place(label):
    """Where a label stands: by its step, then its id; numbers also come as text."""
    number = lambda value: (0, int(value), "") if str(value).isdigit() else (1, 0, str(value))
    return number(label["step"]), number(label["id"])


def steps_done(calls, labels) -> int:
    """How many of the label's calls were made and ran, in the order of their steps; those of one step in any order."""
    done, waiting = 0, sorted(labels, key=place)
    for call in calls:
        step = [label for label in waiting if label["step"] == waiting[0]["step"]]
        found = next((label for label in step if ran(call) and matches(call, label)), None)
        if found is not None:
            waiting.remove(found)
            done += 1
        if not waiting:
            break
    return done


def trial(calls, labels, call_type) -> dict:
    """The trial's booleans. As in the original the last call counts, on both sides. `passed` is the original's for single-step
    tasks; for tasks of several steps all of them must have been done."""
    calls = [call for call in calls if call["tool"]]
    labels = sorted(labels, key=place)
    last = calls[-1] if calls else None
    tool = last is not None and same_tool(last, labels[-1])
    parameter = last is not None and matches(last, labels[-1])
    execution = last is not None and ran(last)
    steps = steps_done(calls, labels) / len(labels)
    passed = tool and parameter and execution and (call_type == "single" or steps == 1)
    return {"tool": tool, "parameter": parameter, "execution": execution, "steps": steps, "passed": passed}


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that one of k trials drawn out of n, of which c succeeded, succeeds: 1 − C(n−c, k) / C(n, k)."""
    return 1.0 if n - c < k else 1.0 - math.comb(n - c, k) / math.comb(n, k)
