"""Does hone-wire say and understand Messages as Anthropic's own library does?

    python3 tests/parity/wire_anthropic.py WIRE

WIRE is the example `wire` of hone-wire (`cargo build --release -p hone-wire --example wire`). Needs the PyPI package
`anthropic`; says so and ends well without it. Against a local server, no network: requests field by field and against the
types that the library declares, headers and path, and its reading of our fixtures, whole and streamed, against ours.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from wire_peer import FIXTURES, KEY, Peer, Report, conversation, library, wire

anthropic = library("anthropic")


def block(part: dict) -> dict | None:
    match part["type"]:
        case "text":
            return {"type": "text", "text": part["text"]}
        case "reasoning":
            return {"type": "thinking", "thinking": part["text"], "signature": part["signature"]}
        case "redacted":
            return {"type": "redacted_thinking", "data": part["data"]}
        case "call":
            try:
                arguments = json.loads(part["arguments"])
            except ValueError:
                arguments = {"INVALID_JSON": part["arguments"]}
            return {"type": "tool_use", "id": part["id"], "name": part["name"], "input": arguments}


def turns(messages: list) -> list:
    """Messages without the system's: users' and tools' neighbours in one."""
    out = []
    for message in messages:
        if message["role"] == "assistant":
            out.append({"role": "assistant", "content": [block(part) for part in message["parts"]]})
            continue
        if message["role"] == "user":
            said = {"type": "text", "text": message["text"]}
        else:
            said = {"type": "tool_result", "tool_use_id": message["call_id"], "content": message["text"]}
            if message.get("is_error"):
                said["is_error"] = True
        if out and out[-1]["role"] == "user":
            out[-1]["content"].append(said)
        else:
            out.append({"role": "user", "content": [said]})
    return out


def words(request: dict) -> dict:
    """A neutral request as arguments of the library."""
    settings = request["settings"]
    system = [m["text"] for m in request["messages"] if m["role"] == "system"]
    out = {"model": request["model"], "max_tokens": settings["max_tokens"],
           "messages": turns([m for m in request["messages"] if m["role"] != "system"])}
    if system:
        out["system"] = "\n\n".join(system)
    if request["tools"]:
        out["tools"] = [
            {{"parameters": "input_schema"}.get(k, k): v for k, v in tool.items() if v != ""} for tool in request["tools"]
        ]
        choice, parallel = settings.get("tool_choice"), settings.get("parallel_tool_calls")
        told = None
        if isinstance(choice, dict):
            told = {"type": "tool", "name": choice["tool"]}
        elif choice:
            told = {"type": {"required": "any"}.get(choice, choice)}
        elif parallel is False:
            told = {"type": "auto"}
        if told:
            if parallel is not None and choice != "none":
                told["disable_parallel_tool_use"] = not parallel
            out["tool_choice"] = told
    if "stop" in settings:
        out["stop_sequences"] = settings["stop"]
    if schema := settings.get("response_format"):
        out["output_config"] = {"format": {"type": "json_schema", "schema": schema["schema"]}}
    return out | settings.get("extra", {})


def spelt_out(body: dict) -> dict:
    """A text alone is short for a list of one text block."""
    for message in body["messages"]:
        if isinstance(message["content"], str):
            message["content"] = [{"type": "text", "text": message["content"]}]
    return body


def declared(body: dict) -> None:
    """Raises if a part of the body does not fit the type that the library declares for it."""
    from anthropic import types
    from pydantic import TypeAdapter

    parts = [(types.ContentBlockParam, part) for message in body["messages"] for part in message["content"]]
    parts += [(types.ToolParam, tool) for tool in body.get("tools", [])]
    parts += [(types.ToolChoiceParam, body["tool_choice"])] if "tool_choice" in body else []
    parts += [(types.OutputConfigParam, body["output_config"])] if "output_config" in body else []
    for kind, part in parts:
        TypeAdapter(kind).validate_python(part)


def neutral(message) -> dict:
    """What the library read, as a neutral answer without its raw text; arguments parsed."""
    parts = []
    for part in message.content:
        match part.type:
            case "text":
                parts.append({"type": "text", "text": part.text})
            case "thinking":
                parts.append({"type": "reasoning", "text": part.thinking, "signature": part.signature})
            case "redacted_thinking":
                parts.append({"type": "redacted", "data": part.data})
            case "tool_use":
                parts.append({"type": "call", "id": part.id, "name": part.name, "arguments": part.input})
    usage, details = message.usage, message.usage.output_tokens_details
    reasons = {"end_turn": "stop", "tool_use": "tool_calls"}
    return {
        "message": {"parts": parts}, "finish": reasons[message.stop_reason], "id": message.id, "model": message.model,
        "usage": {"input": usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens,
                  "output": usage.output_tokens, "cached_input": usage.cache_read_input_tokens,
                  "cache_write": usage.cache_creation_input_tokens, "reasoning": details and details.thinking_tokens},
    }


def ours(text: str) -> dict:
    answer = json.loads(text)
    for part in answer["message"]["parts"]:
        if part["type"] == "call":
            part["arguments"] = json.loads(part["arguments"])
    return {key: answer[key] for key in ("message", "finish", "usage", "id", "model")}


def main(binary: str) -> int:
    report, peer = Report(), Peer()
    client = anthropic.Anthropic(api_key=KEY, base_url=peer.url, max_retries=0)
    requests = [json.loads((FIXTURES / "conversation.json").read_text())] + [conversation(seed) for seed in range(60)]
    for request in requests:  # the API's present version, which the library speaks, has no sampling settings
        request["settings"] = {k: v for k, v in request["settings"].items() if k not in ("temperature", "top_p")}
    peer.serve("anthropic_calls.json")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "request.json")
        for number, request in enumerate(requests):
            file.write_text(json.dumps(request))
            body = spelt_out(json.loads(wire(binary, "body", "anthropic", str(file))))
            client.messages.create(**words(request))
            report.same(f"request {number}", body, json.loads(peer.heard[-1][2]))
            declared(body)
        file.write_text(json.dumps(requests[1]))
        peer.serve("anthropic_calls.sse")
        list(client.messages.create(**words(requests[1]), stream=True))
        told = wire(binary, "ask", "anthropic", str(file), peer.url, "WIRE_TEST_KEY", env={**os.environ, "WIRE_TEST_KEY": KEY})
        (their_path, their_head, their_body), (path, head, body) = peer.heard[-2:]
        report.same("path", path, their_path)
        report.same("streamed request", spelt_out(json.loads(body)), json.loads(their_body))
        for name in ("authorization", "anthropic-version", "content-type"):
            report.same(name, head[name], their_head[name])
        report.same("answer over HTTP", ours(told), ours(wire(binary, "stream", "anthropic", str(FIXTURES / "anthropic_calls.sse"))))
    peer.serve("anthropic_calls.json")
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    whole = client.messages.create(**asked)
    report.same("anthropic_calls.json", ours(wire(binary, "answer", "anthropic", str(FIXTURES / "anthropic_calls.json"))), neutral(whole))
    peer.serve("anthropic_calls.sse")
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    report.same("anthropic_calls.sse", ours(wire(binary, "stream", "anthropic", str(FIXTURES / "anthropic_calls.sse"))), neutral(streamed))
    return report.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
