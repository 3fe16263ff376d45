"""A server for tests, on standard input and output: `server.py [BEHAVIOUR] [FILE]`.

Speaks the protocol by hand, so that it can break it. Its tools misbehave when they are called; a behaviour makes the server
itself misbehave. FILE is where it notes what the test wants to know.
"""

import json
import os
import signal
import subprocess
import sys
import time

behaviour = sys.argv[1] if len(sys.argv) > 1 else "well"
notes = sys.argv[2] if len(sys.argv) > 2 else os.devnull
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
grown = False


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def note(text):
    with open(notes, "a") as file:
        file.write(text + "\n")


def tool(name, properties=None, **more):
    schema = {"type": "object", "properties": properties or {}}
    return {"name": name, "description": f"Does {name}.", "inputSchema": schema, **more}


def tools():
    if behaviour == "many":
        return [tool(f"t{i}") for i in range(10_000)]
    if behaviour == "twice":
        return [tool("same"), tool("same")]
    if behaviour == "fat":
        return [tool("fat", description="x" * 300_000)]
    if behaviour == "nonsense":
        return [{**tool("nonsense"), "inputSchema": {"type": 12}}]
    number = {"n": {"type": "number"}}
    listed = [
        tool("echo", {"text": {"type": "string"}}, annotations={"readOnlyHint": True, "openWorldHint": False}),
        tool("data", outputSchema={"type": "object", "properties": number, "required": ["n"]}),
        tool("lie", outputSchema={"type": "object", "properties": number, "required": ["n"]}),
        tool("picture"),
    ]
    listed += [tool(name) for name in ("fail", "refuse", "work", "hang", "huge", "flood", "die", "garbage", "grow", "env")]
    return listed + ([tool("grown")] if grown else [])


def text(words, **more):
    return {"content": [{"type": "text", "text": words}], **more}


def call(name, arguments, request):
    global grown
    token = request["params"].get("_meta", {}).get("progressToken")
    if name == "echo":
        return text(arguments.get("text", ""))
    if name == "data":
        return {"content": [], "structuredContent": {"n": 1}}
    if name == "lie":
        return {"content": [], "structuredContent": {"n": "one"}}
    if name == "picture":
        return {"content": [{"type": "image", "mimeType": "image/png", "data": PIXEL}]}
    if name == "fail":
        return text("no such file", isError=True)
    if name == "refuse":
        return send({"id": request["id"], "error": {"code": -32603, "message": "the disk is full"}})
    if name == "work":
        for i in range(3):
            progress = {"progressToken": token, "progress": i, "total": 3, "message": f"step {i}"}
            send({"method": "notifications/progress", "params": progress})
        return text("worked")
    if name == "hang":
        return None
    if name == "huge":
        sys.stdout.write('{"jsonrpc": "2.0", "id": 1, "result": "')
        for _ in range(100):
            sys.stdout.write("x" * (1 << 20))
        return None
    if name == "flood":
        while True:
            send({"method": "notifications/message", "params": {"level": "info", "data": "x" * 1000}})
    if name == "die":
        sys.stderr.write("out of luck\n")
        sys.stderr.flush()
        os._exit(3)
    if name == "garbage":
        sys.stdout.write('{"jsonrpc": "2.0", "id": ' + str(request["id"]) + ', "result": {]}\n')
        sys.stdout.flush()
        return None
    if name == "grow":
        grown = True
        send({"method": "notifications/tools/list_changed"})
        return text("grown")
    if name == "env":
        return text(json.dumps(dict(os.environ)))
    return send({"id": request["id"], "error": {"code": -32602, "message": f"no tool {name}"}})


def answer(request):
    method, params = request["method"], request.get("params", {})
    if method == "server/discover" and behaviour == "late":
        time.sleep(11)  # Longer than a client waits for it.
    if method == "initialize":
        note("client " + json.dumps(params["clientInfo"]))
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "test server", "version": "7"},
        }
    if method == "tools/list":
        if behaviour == "drip":
            time.sleep(0.1)
            return {"tools": [], "nextCursor": str(int(params.get("cursor", 0)) + 1)}
        if behaviour == "circle":
            return {"tools": [], "nextCursor": "again"}
        everything, start = tools(), int(params.get("cursor", 0))
        end = start + (1_000 if behaviour == "many" else 6)
        page = {"tools": everything[start:end]}
        return page | ({"nextCursor": str(end)} if len(everything) > end else {})
    if method == "tools/call":
        return call(params["name"], params.get("arguments", {}), request)
    if behaviour == "agreeable":
        return {}
    return send({"id": request["id"], "error": {"code": -32601, "message": "unknown method"}})


if behaviour == "exit":
    sys.stderr.write("cannot find my database\n")
    sys.exit(4)
if behaviour == "orphans":
    # What a process group is for: a child that outlives its parent, and a parent that does not want to go.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    note(f"{os.getpid()} {child.pid}")
if behaviour == "noise":
    print("Server listening on stdio", flush=True)
    time.sleep(600)
if behaviour == "silent":
    time.sleep(600)

for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        note(message["method"] + " " + json.dumps(message.get("params", {})))
    elif "method" in message and (result := answer(message)) is not None:
        send({"id": message["id"], "result": result})
if behaviour == "orphans":
    time.sleep(600)
