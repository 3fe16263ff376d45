"""Tasks of MCPToolBench++ as tasks of a project: prepare.py DATA [DATA ...] FOLDER

Reads task files as they are published (a list of records; `tools`, `mcp_tools_dict` and `function_call_label` as JSON or as
text that holds JSON) and writes FOLDER/tasks.jsonl. A label that breaks its tool's schema is still a task, but has no gold
to play. Exit status 1, and nothing written, when a record is not to be read.
"""

import json
import sys
from pathlib import Path

from score import place

TYPES = {"string": str, "array": list, "object": dict, "boolean": bool, "integer": int, "number": (int, float)}


def held(record, field, where):
    value = record.get(field)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise SystemExit(f"{where}: field `{field}` holds text that is no JSON ({error})")
    if value is None:
        raise SystemExit(f"{where}: field `{field}` is missing")
    return value


def fits(label, tools):
    """Whether the label's input has the types and the required parameters of its tool's schema."""
    schema = next((tool["input_schema"] for tool in tools if tool["name"] == label["name"]), None)
    if schema is None:
        return True
    properties = schema.get("properties", {})

    def typed(value, kind):
        wanted = TYPES.get(kind) if isinstance(kind, str) else None
        return wanted is None or (isinstance(value, wanted) and (kind == "boolean" or not isinstance(value, bool)))

    return all(name in label["input"] for name in schema.get("required", [])) and all(
        typed(value, properties.get(name, {}).get("type")) for name, value in label["input"].items()
    )


def read(path):
    try:
        records = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: not to be read ({error})")
    for at, record in enumerate(records):
        where = f"{path}: record {at}"
        labels = held(record, "function_call_label", where)
        tools, servers = held(record, "tools", where), held(record, "mcp_tools_dict", where)
        offered = {name for names in servers.values() for name in names} | {tool["name"] for tool in tools}
        for label in labels:
            if label["name"] not in offered:
                raise SystemExit(f"{where}: the label calls `{label['name']}`, which is not on offer")
        task = {
            "id": record["uuid"],
            "kind": f"{record['category']}/{record['call_type']}",
            "prompt": record["query"],
            "expected": {"trial": {"call_type": record["call_type"], "labels": labels}},
        }
        if all(fits(label, tools) for label in labels):
            calls = [{"name": label["name"], "arguments": label["input"]} for label in sorted(labels, key=place)]
            task["gold"] = {"calls": calls, "answer": "done"}
        yield task


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    tasks = [task for path in sys.argv[1:-1] for task in read(path)]
    lines = [json.dumps(task, ensure_ascii=False) for task in tasks]
    Path(sys.argv[-1], "tasks.jsonl").write_text("".join(line + "\n" for line in lines))
    without = sum("gold" not in task for task in tasks)
    print(f"{len(tasks)} tasks; {without} labels break their tool's schema", file=sys.stderr)


main()
