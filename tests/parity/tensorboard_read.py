"""Does TensorBoard read our event files as we read our CSV?

    python3 tests/parity/tensorboard_read.py RUN_DIR

Needs the PyPI package `tensorboard`. RUN_DIR holds `metrics.csv` and `tensorboard/`, as every run directory does (the
example `sample_report` of hone-view writes one from made-up numbers). Exit status 0: every number of the CSV, in order,
is what TensorBoard sees under the tag `phase/name`, to the precision of a 32-bit float, and nothing else is there.
"""

import csv
import math
import struct
import sys
from collections import defaultdict
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def as_f32(value: float) -> float:
    return struct.unpack("<f", struct.pack("<f", value))[0]


def main(run: Path) -> int:
    expected = defaultdict(list)
    with open(run / "metrics.csv", newline="") as file:
        for row in csv.DictReader(file):
            tag = f"{row['phase']}/{row['name']}"
            expected[tag].append((int(row["step"]), as_f32(float(row["value"]))))

    board = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    board.Reload()
    seen = {tag: [(e.step, e.value) for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]}

    def same(a, b):
        return a[0] == b[0] and (a[1] == b[1] or (math.isnan(a[1]) and math.isnan(b[1])))

    bad = sorted(set(expected) ^ set(seen))
    for tag in sorted(set(expected) & set(seen)):
        if len(expected[tag]) != len(seen[tag]) or not all(map(same, expected[tag], seen[tag])):
            bad.append(tag)
    for tag in bad:
        print(f"differs: {tag}: csv {expected.get(tag, [])[:3]} tensorboard {seen.get(tag, [])[:3]}", file=sys.stderr)
    numbers = sum(map(len, expected.values()))
    print(f"{len(expected)} tags, {numbers} numbers, {len(bad)} tags differ")
    return 1 if bad or not numbers else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
