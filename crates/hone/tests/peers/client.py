"""A client of the Python SDK: `client.py MODE TARGET [COMMAND ...]`.

MODE is `legacy` (with `initialize`) or `auto` (asks with `server/discover`); TARGET is a URL or `stdio`. Does what `client.mjs` does.
"""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters


async def main():
    mode, target, *command = sys.argv[1:]
    server = StdioServerParameters(command=command[0], args=command[1:]) if target == "stdio" else target
    async with Client(server, mode=mode) as client:
        tools = (await client.list_tools()).tools

        async def call(name, arguments):
            result = await client.call_tool(name, arguments)
            return result.model_dump(mode="json", by_alias=True, exclude_none=True)

        seen = {
            "protocol": client.protocol_version,
            "server": client.server_info.name,
            "tools": [tool.name for tool in tools],
            "refund": next(t.annotations.model_dump(by_alias=True) for t in tools if t.name == "refund_order"),
            "noted": await call("escalate", {"topic": "complaint"}),
            "invalid": await call("find_customer", {"nom": "x"}),
            "missing": await call("get_order", {"order": "Z0"}),
        }
    print(json.dumps(seen))


asyncio.run(main())
