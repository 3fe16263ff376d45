"""The project's examples as the other side of a comparison: JSON lines in, JSON lines out."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def command(crate: str, example: str) -> list:
    """How to run an example: built already, in the folder `HONE_EXAMPLES`, or by cargo."""
    built = os.environ.get("HONE_EXAMPLES")
    if built:
        return [str(Path(built).resolve() / example)]
    return ["cargo", "run", "--quiet", "--release", "-p", crate, "--example", example, "--"]


def run(crate: str, example: str, arguments: list, lines: list) -> list:
    """The lines that the example prints for these. CalledProcessError where it fails."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([*command(crate, example), *map(str, arguments)], cwd=ROOT, input=text, stdout=subprocess.PIPE,
                          text=True, check=True)
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def ask(crate: str, example: str, arguments: list, lines: list) -> list:
    """What the example answers to these lines, one answer a line."""
    answers = run(crate, example, arguments, lines)
    assert len(answers) == len(lines), f"{example} answered {len(answers)} of {len(lines)} lines"
    return answers
