"""Do the official OpenTelemetry messages parse what we send, as protobuf and as JSON?

    .venv/bin/python tests/parity/otlp_spans.py HONE

HONE is the program. A small receiver decodes each request with the package `opentelemetry-proto` and holds it to the rules of the
protocol and of the conventions for generative AI. The first try of each run is answered 503, which must be repeated. Exit status
0: no disagreement.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

bad = []


def check(what: str, got, wanted) -> None:
    if got != wanted:
        bad.append(f"{what}: {got!r}, wanted {wanted!r}")


def strict_json(body: bytes) -> ExportTraceServiceRequest:
    """OTLP's JSON: that of protobuf, but that ids are hex."""
    tree = json.loads(body)
    for resource in tree["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for key in ("traceId", "spanId", "parentSpanId"):
                    if key in span:
                        span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    return json_format.ParseDict(tree, ExportTraceServiceRequest())


class Receiver(BaseHTTPRequestHandler):
    requests: list = []
    tries = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        Receiver.tries += 1
        status = 503 if Receiver.tries == 1 else 200
        if status == 200:
            kind = self.headers["content-type"]
            request = strict_json(body) if kind == "application/json" else ExportTraceServiceRequest.FromString(body)
            Receiver.requests.append((self.path, kind, self.headers.get("x-key"), request))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


def hone(program: Path, *arguments: str, env=None) -> list:
    done = subprocess.run([program, *arguments, "--json"], capture_output=True, text=True, env={**os.environ, **(env or {})})
    if done.returncode:
        sys.exit(f"hone {' '.join(arguments)}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def value(any_value):
    kind = any_value.WhichOneof("value")
    return [value(v) for v in any_value.array_value.values] if kind == "array_value" else getattr(any_value, kind)


def attributes(pairs) -> dict:
    names = [pair.key for pair in pairs]
    check("attributes are unique", len(set(names)), len(names))
    return {pair.key: value(pair.value) for pair in pairs}


def spans_of(program: Path, run: str, url: str, *flags: str) -> list:
    Receiver.requests.clear()
    Receiver.tries = 0
    said = hone(program, "trace", "export", run, "--format", "otlp", "--endpoint", url, *flags,
                env={"OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b"})[0]
    spans = []
    for path, kind, key, request in Receiver.requests:
        check("path", path, "/v1/traces")
        check("header", key, "a b")
        check("content type", kind, "application/json" if "--otlp-json" in flags else "application/x-protobuf")
        for resource in request.resource_spans:
            check("service", attributes(resource.resource.attributes)["service.name"], "hone")
            for scope in resource.scope_spans:
                check("conventions", scope.schema_url.startswith("https://opentelemetry.io/schemas/"), True)
                spans += scope.spans
    check("number of spans", len(spans), said["spans"])
    return spans


def judge(spans: list, episodes: list, content: bool) -> None:
    by_trace: dict = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, []).append(span)
        check("length of ids", (len(span.trace_id), len(span.span_id)), (16, 8))
        check("order of time", span.end_time_unix_nano >= span.start_time_unix_nano > 0, True)
    check("traces", len(by_trace), len(episodes))
    check("ids are unique", len({span.span_id for span in spans}), len(spans))
    counts = Counter()
    for episode in episodes:
        trace = next(t for t in by_trace.values()
                     if any(attributes(s.attributes).get("gen_ai.conversation.id") == episode["id"] for s in t))
        [root] = [span for span in trace if not span.parent_span_id]
        check("root", root.name, f"invoke_agent {episode['harness']}")
        check("result", [(e.name, attributes(e.attributes)["gen_ai.evaluation.score.value"]) for e in root.events],
              [("gen_ai.evaluation.result", s["value"]) for s in episode["scores"]])
        for span in trace:
            has = attributes(span.attributes)
            operation = has["gen_ai.operation.name"]
            counts[operation] += 1
            check("name", span.name.split(" ")[0], operation)
            check("kind", span.kind, Span.SPAN_KIND_CLIENT if operation == "chat" else Span.SPAN_KIND_INTERNAL)
            check("parent", span is root or span.parent_span_id == root.span_id, True)
            check("error", "error.type" in has, span.status.code == Status.STATUS_CODE_ERROR)
            if operation == "chat":
                for key in ("gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.finish_reasons"):
                    check(key, key in has, True)
                check("content", "gen_ai.input.messages" in has, content)
            if content and "gen_ai.output.messages" in has:
                for message in json.loads(has["gen_ai.input.messages"]) + json.loads(has["gen_ai.output.messages"]):
                    check("role", message["role"] in ("system", "user", "assistant", "tool"), True)
                    for part in message["parts"]:
                        check("part", part["type"] in ("text", "tool_call", "tool_call_response"), True)
        check("chats", sum(s.name.startswith("chat ") for s in trace), len(episode["model_calls"]))
        check("tools", sum(s.name.startswith("execute_tool ") for s in trace), len(episode["tool_calls"]))
    print(f"{'with' if content else 'without'} content: {dict(counts)}")
    everything = str(spans)
    request = episodes[0]["turns"][0]["text"][:30]
    check("what was said", request in everything, content)
    check("reasons", "gen_ai.evaluation.explanation" in everything, content)


def main(program: Path) -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as home:
        run = f"{home}/run"
        hone(program, "eval", "shop", "--model", "script:over_eager", "--n", "120", "--out", run)
        episodes = [hone(program, "trace", "show", run, e["id"])[0] for e in hone(program, "trace", "ls", run)]
        plain = spans_of(program, run, url)
        judge(plain, episodes, False)
        as_json = spans_of(program, run, url, "--otlp-json")
        check("JSON and protobuf", as_json, plain)
        judge(spans_of(program, run, url, "--content"), episodes, True)
    for what in sorted(set(bad)):
        print(f"wrong: {what}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve()))
