"""The tools that the protocol's conformance package expects of a server, over JSON lines (docs/protocol.md)."""

import json
import sys

ADDRESS = {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": ADDRESS},
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
    "additionalProperties": False,
}
NOTHING = {"type": "object", "properties": {}}
TOOLS = [
    {"name": "test_simple_text", "description": "Says a sentence.", "inputSchema": NOTHING},
    {"name": "test_error_handling", "description": "Always fails.", "inputSchema": NOTHING},
    {"name": "json_schema_2020_12_tool", "description": "Tool with JSON Schema 2020-12 features", "inputSchema": SCHEMA},
]

for line in sys.stdin:
    request = json.loads(line)
    method, params = request["method"], request["params"]
    result = {}
    if method == "hello":
        result = {"protocol": 1, "name": "conformance", "version": "1", "tools": TOOLS}
    elif method == "call" and params["name"] == "test_error_handling":
        result = {"text": "This tool intentionally returns an error for testing", "isError": True}
    elif method == "call":
        result = {"text": "This is a simple text response for testing."}
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
