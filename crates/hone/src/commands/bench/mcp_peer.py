"""The Python MCP SDK's client, for `hone bench dispatch`: peer.py JOB.

Starts the server that the job names and calls its tool as often as each line of standard input says; answers with the
nanoseconds of each call.
"""

import asyncio
import json
import sys
import time

from mcp import Client, StdioServerParameters


async def main():
    with open(sys.argv[1]) as file:
        job = json.load(file)
    server = StdioServerParameters(command=job["command"][0], args=job["command"][1:])
    lines = asyncio.get_running_loop().run_in_executor
    async with Client(server, mode=job["mode"]) as client:
        while line := await lines(None, sys.stdin.readline):
            spent = []
            for _ in range(int(line)):
                start = time.perf_counter_ns()
                result = await client.call_tool(job["tool"], job["arguments"])
                spent.append(time.perf_counter_ns() - start)
                if result.is_error:
                    raise SystemExit(f"the call failed: {result}")
            print(json.dumps(spent), flush=True)


asyncio.run(main())
