"""Does hone-wire say and understand Chat Completions as OpenAI's own library does?

    python3 tests/parity/wire_openai.py WIRE

WIRE is the example `wire` of hone-wire (`cargo build --release -p hone-wire --example wire`). Needs the PyPI package `openai`;
says so and ends well without it. Against a local server, no network:

* requests: what the library sends for a conversation, field by field, and the types that the library declares for it;
* headers and path of one request;
* answers: the library's reading of our fixtures, whole and streamed, against ours.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from wire_peer import FIXTURES, KEY, Peer, Report, conversation, library, wire

openai = library("openai")


def words(request: dict) -> dict:
    """A neutral request as arguments of the library."""
    settings = request["settings"]
    messages = []
    for message in request["messages"]:
        if message["role"] == "tool":
            messages.append({"role": "tool", "tool_call_id": message["call_id"], "content": message["text"]})
        elif message["role"] == "assistant":
            text = "".join(p["text"] for p in message["parts"] if p["type"] == "text")
            calls = [
                {"id": p["id"], "type": "function", "function": {"name": p["name"], "arguments": p["arguments"]}}
                for p in message["parts"] if p["type"] == "call"
            ]
            said = {"role": "assistant", "content": text if text or not calls else None}
            messages.append({**said, "tool_calls": calls} if calls else said)
        else:
            messages.append({"role": message["role"], "content": message["text"]})
    out = {"model": request["model"], "messages": messages}
    if request["tools"]:
        out["tools"] = [
            {"type": "function", "function": {k: v for k, v in tool.items() if v != ""}} for tool in request["tools"]
        ]
        if choice := settings.get("tool_choice"):
            out["tool_choice"] = choice if isinstance(choice, str) else {"type": "function", "function": {"name": choice["tool"]}}
        if "parallel_tool_calls" in settings:
            out["parallel_tool_calls"] = settings["parallel_tool_calls"]
    out |= {key: settings[key] for key in ("temperature", "top_p", "max_tokens", "stop") if key in settings}
    if schema := settings.get("response_format"):
        out["response_format"] = {"type": "json_schema", "json_schema": schema}
    return out | settings.get("extra", {})


def declared(body: dict) -> None:
    """Raises if the body does not fit the types that the library declares."""
    from openai.types.chat import completion_create_params as params
    from pydantic import TypeAdapter

    kind = params.CompletionCreateParamsStreaming if body.get("stream") else params.CompletionCreateParamsNonStreaming
    checked = TypeAdapter(kind).validate_python(body)
    [list(m.get("tool_calls") or []) for m in checked["messages"]], list(checked.get("tools") or [])  # these are checked when read


def neutral(completion) -> dict:
    """What the library read, as a neutral answer without its raw text."""
    choice = completion.choices[0]
    message, usage = choice.message, completion.usage
    extra = message.model_extra or {}
    parts = []
    if reasoning := extra.get("reasoning"):
        parts.append({"type": "reasoning", "text": reasoning})
    if text := (message.content or "") + (message.refusal or ""):
        parts.append({"type": "text", "text": text})
    for call in message.tool_calls or []:
        parts.append({"type": "call", "id": call.id, "name": call.function.name, "arguments": call.function.arguments})
    prompt, output = usage.prompt_tokens_details, usage.completion_tokens_details
    logprobs = choice.logprobs and [
        {"token": t.token, "logprob": t.logprob, "bytes": t.bytes,
         "top": [{"token": o.token, "logprob": o.logprob} for o in t.top_logprobs]} for t in choice.logprobs.content]
    return {
        "message": {"parts": parts},
        "finish": "content_filter" if message.refusal else choice.finish_reason,
        "usage": {"input": usage.prompt_tokens, "output": usage.completion_tokens,
                  "cached_input": prompt and prompt.cached_tokens, "cache_write": prompt and prompt.cache_write_tokens,
                  "reasoning": output and output.reasoning_tokens},
        "id": completion.id, "model": completion.model, "logprobs": logprobs,
    }


def ours(text: str) -> dict:
    answer = json.loads(text)
    return {key: answer[key] for key in ("message", "finish", "usage", "id", "model", "logprobs")}


def main(binary: str) -> int:
    report, peer = Report(), Peer()
    client = openai.OpenAI(api_key=KEY, base_url=f"{peer.url}/v1", max_retries=0)
    requests = [json.loads((FIXTURES / "conversation.json").read_text())] + [conversation(seed) for seed in range(60)]
    peer.serve("openai_calls.json")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "request.json")
        for number, request in enumerate(requests):
            file.write_text(json.dumps(request))
            body = json.loads(wire(binary, "body", "openai", str(file)))
            client.chat.completions.create(**words(request))
            report.same(f"request {number}", body, json.loads(peer.heard[-1][2]))
            declared(body)
        file.write_text(json.dumps(requests[1]))
        peer.serve("openai_calls.sse")
        asked = words(requests[1])
        list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
        told = wire(binary, "ask", "openai", str(file), f"{peer.url}/v1", "WIRE_TEST_KEY", env={**os.environ, "WIRE_TEST_KEY": KEY})
        (their_path, their_head, their_body), (path, head, body) = peer.heard[-2:]
        report.same("path", path, their_path)
        report.same("streamed request", json.loads(body), json.loads(their_body))
        for name in ("authorization", "content-type"):
            report.same(name, head[name], their_head[name])
        report.same("answer over HTTP", ours(told), ours(wire(binary, "stream", "openai", str(FIXTURES / "openai_calls.sse"))))
    for name in ("openai_calls", "vllm_tokens", "openai_refusal"):
        peer.serve(f"{name}.json")
        whole = client.chat.completions.create(model="m", messages=[])
        report.same(f"{name}.json", ours(wire(binary, "answer", "openai", str(FIXTURES / f"{name}.json"))), neutral(whole))
        peer.serve(f"{name}.sse")
        with client.chat.completions.stream(model="m", messages=[]) as stream:
            streamed = stream.get_final_completion()
        report.same(f"{name}.sse", ours(wire(binary, "stream", "openai", str(FIXTURES / f"{name}.sse"))), neutral(streamed))
    return report.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
