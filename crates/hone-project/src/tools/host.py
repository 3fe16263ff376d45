"""Makes a plain Python file a set of tools: `python3 -c HOST tools.py`. Standard library only, Python 3.9 and later.

Every public function that the file defines is a tool: its type hints become the schema, its docstring the description.
`reset(task)` is called before each episode and `state()` after each call, if the file has them. A function with the
attribute `read_only = True` changes nothing. With `replay = True` in the file, an episode's calls may be made again in a
fresh process. ValueError and LookupError are shown to the model; any other exception
fails the episode. What the file prints goes to stderr.
"""

import importlib.util, inspect, json, os, re, sys, traceback, typing

PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}


def schema(hint):
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin is list:
        return {"type": "array", "items": schema(args[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema(args[1])}
    if origin is typing.Union or type(hint).__name__ == "UnionType":
        kinds = [schema(a) for a in args if a is not type(None)]
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return {}


def describe(function):
    hints, properties, required = typing.get_type_hints(function), {}, []
    text = inspect.getdoc(function) or ""
    for name, parameter in inspect.signature(function).parameters.items():
        properties[name] = schema(hints.get(name, typing.Any))
        about = re.search(rf"^\s*{name}\s*:\s*(.+)$", text, re.MULTILINE)  # A line `name: what it is`.
        if about:
            properties[name]["description"] = about.group(1)
        if parameter.default is parameter.empty:
            required.append(name)
    read_only = bool(getattr(function, "read_only", False))
    return {
        "name": function.__name__,
        "description": text,
        "inputSchema": {"type": "object", "properties": properties, "required": required, "additionalProperties": False},
        "annotations": {"readOnlyHint": read_only, "destructiveHint": not read_only, "openWorldHint": False},
    }


def main(path):
    out, sys.stdout = sys.stdout, sys.stderr
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location("tools", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = {
        name: f
        for name, f in vars(module).items()
        if inspect.isfunction(f) and f.__module__ == "tools" and not name.startswith("_")
    }
    reset, state = found.pop("reset", None), found.pop("state", None)
    for line in sys.stdin:
        message = json.loads(line)
        method, params = message["method"], message["params"]
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            if method == "hello":
                tools = [describe(f) for f in found.values()]
                replay = bool(getattr(module, "replay", False))
                answer["result"] = {"protocol": 1, "name": path, "tools": tools, "state": state is not None, "replay": replay}
            elif method == "reset":
                if reset:
                    reset(params["task"])
                answer["result"] = {}
            elif method == "call":
                try:
                    data = found[params["name"]](**params["arguments"])
                    answer["result"] = {"text": data} if isinstance(data, str) else {"data": data}
                except (ValueError, LookupError) as error:
                    answer["result"] = {"text": str(error.args[0] if error.args else error), "isError": True}
            elif method == "state":
                answer["result"] = {"state": state()}
            line = json.dumps(answer)
        except Exception as error:
            traceback.print_exc()
            line = json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32000, "message": repr(error)}})
        print(line, file=out, flush=True)


main(sys.argv[1])
