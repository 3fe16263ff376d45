"""Does Inspect read our logs, and do we read Inspect's?

    .venv/bin/python tests/parity/inspect_log.py HONE

HONE is the program. Plays a few episodes, exports them, and reads them with the package `inspect_ai`: as a log, sample by sample,
by its command line, and bundled for its viewer. Then has Inspect write logs (its own evaluation with tools, two epochs, an error;
and ours, written anew with everything condensed) and imports those. Exit status 0: no disagreement.
"""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ["INSPECT_DISPLAY"] = "none"

from inspect_ai import Epochs, Task, eval as inspect_eval  # noqa: E402
from inspect_ai.dataset import Sample  # noqa: E402
from inspect_ai.log import (  # noqa: E402
    list_eval_logs, read_eval_log, read_eval_log_sample, read_eval_log_sample_summaries, write_eval_log,
)
from inspect_ai.model import ModelOutput, ModelUsage, get_model  # noqa: E402
from inspect_ai.scorer import includes  # noqa: E402
from inspect_ai.solver import generate, use_tools  # noqa: E402
from inspect_ai.tool import tool  # noqa: E402

bad = []


def check(what: str, got, wanted) -> None:
    if got != wanted:
        bad.append(f"{what}: {got!r}, wanted {wanted!r}")


def hone(program: Path, *arguments: str) -> list:
    done = subprocess.run([program, *arguments, "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"hone {' '.join(arguments)}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def ours_in_inspect(program: Path, home: Path) -> None:
    run = home / "run"
    hone(program, "eval", "shop", "--model", "script:over_eager", "--n", "12", "--samples", "2", "--out", str(run))
    listed = hone(program, "trace", "ls", str(run))
    episodes = [hone(program, "trace", "show", str(run), entry["id"])[0] for entry in listed]
    digest = hone(program, "trace", "digest", str(run))[0]["digest"]
    for name in ("log.eval", "log.json"):
        path = home / name
        hone(program, "trace", "export", str(run), "--format", "inspect", "-o", str(path))
        log = read_eval_log(str(path), resolve_attachments=True)
        check(f"{name} version", log.version, 2)
        check(f"{name} status", log.status, "success")
        check(f"{name} samples", len(log.samples), len(episodes))
        check(f"{name} epochs", log.eval.config.epochs, 2)
        rate = sum(e["outcome"]["kind"] == "ok" for e in episodes) / len(episodes)
        check(f"{name} mean", round(log.results.scores[0].metrics["mean"].value, 9), round(rate, 9))
        for episode in episodes:
            sample = read_eval_log_sample(str(path), id=episode["task"], epoch=episode["sample"] + 1)
            same_episode(f"{name} {episode['id']}", sample, episode)
        summaries = read_eval_log_sample_summaries(str(path))
        check(f"{name} summaries", len(summaries), len(episodes))
        header = read_eval_log(str(path), header_only=True)
        check(f"{name} header", header.eval.task, "shop")
        # Back again.
        back = home / f"back-{path.suffix[1:]}"
        hone(program, "trace", "import", str(back), str(path))
        check(f"{name} digest", hone(program, "trace", "digest", str(back))[0]["digest"], digest)
        # Written anew by Inspect, with pools, attachments and its own compression: still ours to the bit.
        anew = home / f"anew{path.suffix}"
        write_eval_log(log, str(anew))
        back = home / f"back-anew-{path.suffix[1:]}"
        hone(program, "trace", "import", str(back), str(anew))
        check(f"{name} digest after Inspect", hone(program, "trace", "digest", str(back))[0]["digest"], digest)
    inspect = Path(sys.executable).with_name("inspect")
    dump = subprocess.run([inspect, "log", "dump", str(home / "log.eval")], capture_output=True, text=True, check=True)
    check("inspect log dump", len(json.loads(dump.stdout)["samples"]), len(episodes))
    logs = home / "logs"
    logs.mkdir()
    (home / "log.eval").rename(logs / "log.eval")
    subprocess.run([inspect, "view", "bundle", "--log-dir", str(logs), "--output-dir", str(home / "site")], check=True,
                   capture_output=True)
    check("bundle", (home / "site" / "logs" / "log.eval").exists(), True)
    print(f"Inspect reads {len(episodes)} episodes of ours, as .eval and as .json")


def same_episode(where: str, sample, episode: dict) -> None:
    calls = episode["tool_calls"]
    roles = [turn["role"].replace("agent", "assistant") for turn in episode["turns"]]
    check(f"{where} roles", [m.role for m in sample.messages], roles)
    check(f"{where} results", [m.text for m in sample.messages if m.role == "tool"], [c["shown"] for c in calls])
    made = [(c.function, c.arguments) for m in sample.messages if m.role == "assistant" for c in m.tool_calls or []]
    check(f"{where} calls", made, [(c["tool"], c["arguments"]) for c in calls if c["tool"]])
    check(f"{where} score", sample.scores["shop"].value, episode["scores"][0]["value"])
    models = [event for event in sample.events if event.event == "model"]
    check(f"{where} model events", len(models), len(episode["model_calls"]))
    for event, call in zip(models, episode["model_calls"]):
        check(f"{where} tokens", event.output.usage.output_tokens, len(call["output"]))
        check(f"{where} token ids", event.metadata["hone"]["output"], call["output"])
    # The pool gives each call the conversation before it.
    places = [i for i, turn in enumerate(episode["turns"]) if turn["role"] == "agent"]
    check(f"{where} inputs", [len(event.input) for event in models], places)
    tools = [event for event in sample.events if event.event == "tool"]
    check(f"{where} tool events", [e.result for e in tools], [c["shown"] for c in calls])


@tool
def add():
    async def execute(x: int, y: int):
        """Add two numbers.

        Args:
            x: One.
            y: The other.
        """
        if x > 100:
            raise ValueError("too large")
        return str(x + y) + " " * 500 + "."  # Long enough to become an attachment.

    return execute


def theirs_in_hone(program: Path, home: Path) -> None:
    outputs = []
    for _ in range(2):  # Epochs.
        outputs += [ModelOutput.for_tool_call("mockllm/model", "add", {"x": 2, "y": 2}, content="Let me add."),
                    ModelOutput.from_content("mockllm/model", "It is 4."),
                    ModelOutput.for_tool_call("mockllm/model", "add", {"x": "two"}),
                    ModelOutput.from_content("mockllm/model", "I do not know.")]
    task = Task(dataset=[Sample(id="two", input="2 + 2? " + "Think well. " * 40, target="4", metadata={"kind": "sums"}),
                         Sample(id="three", input="1 + 2?", target="3")],
                solver=[use_tools(add()), generate()], scorer=includes(), epochs=Epochs(2), name="sums")
    for output in outputs:  # Without it, Inspect counts tokens with a table that it fetches.
        output.usage = ModelUsage(input_tokens=10, output_tokens=5, total_tokens=15)
    for suffix in ("eval", "json"):
        model = get_model("mockllm/model", custom_outputs=list(outputs))
        folder = home / f"theirs-{suffix}"
        log = inspect_eval(task, model=model, log_dir=str(folder), log_format=suffix, max_samples=1, max_connections=1)[0]
        check(f"{suffix} status", log.status, "success")
        path = Path(list_eval_logs(str(folder))[0].name.removeprefix("file://"))
        if suffix == "eval":
            methods = {entry.compress_type for entry in zipfile.ZipFile(path).infolist()}
            print(f"Inspect's own entries have ZIP methods {sorted(methods)}")
        log = read_eval_log(str(path), resolve_attachments="full")
        run = home / f"run-{suffix}"
        got = hone(program, "trace", "import", str(run), str(path))[0]
        check(f"{suffix} imported", got["episodes"], len(log.samples))
        listed = {}
        for entry in hone(program, "trace", "ls", str(run)):
            episode = hone(program, "trace", "show", str(run), entry["id"])[0]
            listed[(episode["task"], episode["sample"] + 1)] = episode
        for sample in log.samples:
            episode = listed[(sample.id, sample.epoch)]
            where = f"{suffix} {sample.id}/{sample.epoch}"
            solved = next(iter(sample.scores.values())).value in ("C", 1.0)
            check(f"{where} outcome", episode["outcome"]["kind"], "ok" if solved else "policy_failed")
            check(f"{where} turns", len(episode["turns"]), len(sample.messages))
            texts = [m.text for m in sample.messages if m.role == "user"]
            check(f"{where} user", [t["text"] for t in episode["turns"] if t["role"] == "user"], texts)
            texts = [m.text for m in sample.messages if m.role == "assistant"]
            check(f"{where} agent", [c["text"] for c in episode["model_calls"]], texts)
            made = [c for m in sample.messages if m.role == "assistant" for c in m.tool_calls or []]
            check(f"{where} calls", [(c["tool"], c["arguments"]) for c in episode["tool_calls"]],
                  [(c.function, c.arguments) for c in made])
            answers = [m for m in sample.messages if m.role == "tool"]
            check(f"{where} errors", [bool(c.get("error")) for c in episode["tool_calls"]], [bool(m.error) for m in answers])
            check(f"{where} results", [c["shown"] for c in episode["tool_calls"] if not c.get("error")],
                  [m.text for m in answers if not m.error])
            check(f"{where} policy", episode["policy"], "mockllm/model")
            check(f"{where} usage", [c["remote"]["usage"]["output"] for c in episode["model_calls"]], [5] * len(texts))
    print(f"Hone reads {len(log.samples)} samples of Inspect's, as .eval and as .json")


def main(program: Path) -> int:
    with tempfile.TemporaryDirectory() as home:
        ours_in_inspect(program.resolve(), Path(home))
        theirs_in_hone(program.resolve(), Path(home))
    for what in bad:
        print(f"wrong: {what}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
