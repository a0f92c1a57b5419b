"""How far networks are from their copies with float16 weights: proved by `verify.pairs` on one box, network by network.

    python -m benchmarks.pairs --networks DIR --box PROPERTY.vnnlib [--seconds 20] [--merged 3] [--csv FILE]

Per network: CROWN's bound of the largest difference on the whole box, with the networks side by side and coupled; the
bound proved within the seconds (bounds on parts of the box, then bisection); the largest difference found, over the
reals; and their ratio. The first `--merged` networks are also bisected side by side, in the same time.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks.machine import Machine, commit
from verify.budget import Budget
from verify.errors import InvalidInput, VerifyError
from verify.onnx_import import from_bytes, load_network
from verify.pairs.bisect import How, largest_difference
from verify.pairs.network import pair
from verify.pairs.parts import Parts
from verify.query import InputBox
from verify.runtime import configure
from verify.vnnlib import read_spec


@dataclass(frozen=True)
class Row:
    """One network: bounds of the largest difference, the largest one found, and what it took."""

    network: str
    side_by_side: float
    coupled: float
    proved: float
    found: float
    questions: int
    seconds: float
    proved_side_by_side: float = float("nan")


def rounded(model: bytes) -> bytes:
    """The model with its float32 weights rounded to float16 (and stored as float32). Raises `InvalidInput` where one is
    too large for that."""
    proto = onnx.load_model_from_string(model)
    for tensor in proto.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32:
            with np.errstate(over="ignore"):
                short = value.astype(np.float16).astype(np.float32)
            if not np.isfinite(short).all():
                raise InvalidInput(f"weight {tensor.name!r} does not fit into float16")
            tensor.CopyFrom(numpy_helper.from_array(short, tensor.name))
    return proto.SerializeToString()


def measure(path: Path, box: InputBox, seconds: float, merged: bool) -> Row:
    """One line of the table."""
    first = load_network(path)
    second = from_bytes(rounded(first.onnx), f"{path} in float16")
    both, apart = pair(first, second), pair(first, second, coupled=False)
    if both.note:
        raise InvalidInput(f"{path} and its copy are not coupled: {both.note}")
    roots = [float(Parts.of(each, box).bounds.max()) for each in (apart, both)]
    start = time.monotonic()
    found = largest_difference(both, box, Budget.seconds(seconds), how=How("bab"))
    took = time.monotonic() - start
    rival = float("nan")
    if merged:
        rival = largest_difference(apart, box, Budget.seconds(seconds), how=How("bab")).upper
    return Row(short_name(path), *roots, found.upper, found.lower, len(found.steps), took, rival)


def short_name(path: Path) -> str:
    """`1_1` of ACASXU_run2a_1_1_batch_2000.onnx.gz; other names without their endings."""
    match = re.search(r"_(\d_\d)_batch", path.name)
    return match[1] if match else path.name.split(".")[0]


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    heads = ("network", "CROWN side by side", "CROWN coupled", "proved delta", "found", "proved / found", "questions",
             "s")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        ratio = row.proved / row.found if row.found > 0 else float("nan")
        cells = (row.network, *(f"{v:.3g}" for v in (row.side_by_side, row.coupled)), f"{row.proved:.4g}",
                 f"{row.found:.4g}", f"{ratio:.2f}", str(row.questions), f"{row.seconds:.1f}")
        lines.append("| " + " | ".join(cells) + " |")
    rivals = [row for row in rows if row.proved_side_by_side == row.proved_side_by_side]
    if rivals:
        lines += ["", "| network | proved side by side | proved coupled |", "|---|---|---|"]
        lines += [f"| {row.network} | {row.proved_side_by_side:.4g} | {row.proved:.4g} |" for row in rivals]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pairs", description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=Path, required=True, help="folder of .onnx and .onnx.gz files")
    parser.add_argument("--box", type=Path, required=True, help="property (.vnnlib) whose first input box is taken")
    parser.add_argument("--seconds", type=float, default=20.0, help="for the bounds and the bisection of a network")
    parser.add_argument("--merged", type=int, default=3, help="so many networks are bisected side by side, too")
    parser.add_argument("--csv", type=Path, help="write the rows here")
    asked = parser.parse_args(arguments)
    configure(1)
    try:
        paths = sorted(path for path in asked.networks.glob("*.onnx*") if path.is_file())
        if not paths:
            raise InvalidInput(f"no networks in {asked.networks}")
        box, rows, machine = read_spec(asked.box).cases[0].box, [], Machine.this()
        print(f"{commit()} | {machine.cpu} | one thread | torch {machine.torch} | box of {asked.box.name}", flush=True)
        for number, path in enumerate(paths):
            rows.append(measure(path, box, asked.seconds, number < asked.merged))
            print(f"{number + 1}/{len(paths)} {rows[-1]}", file=sys.stderr, flush=True)
        if asked.csv is not None:
            with asked.csv.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, [entry.name for entry in fields(Row)])
                writer.writeheader()
                writer.writerows(asdict(row) for row in rows)
        print(table(rows))
    except VerifyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
