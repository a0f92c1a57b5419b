"""Measures what every run pays: wall seconds and peak memory of `verify --version` and of a run that CROWN settles.

    python -m benchmarks.startup [--runs 5]

The run is examples/digits_mlp with a property so narrow that the root bounds prove it. One run of each beforehand
fills the file cache and is not counted.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import Machine, commit
from benchmarks.process import ROOT, VERIFY, Finished, run_process
from benchmarks.summary import aligned
from verify.errors import InvalidInput, VerifyError

NETWORK = ROOT / "examples" / "digits_mlp.onnx"
SPEC = ROOT / "examples" / "digits_mlp_holds.vnnlib"
_LIMIT = 60.0
_SHRINK = 0.01
_BOUND = re.compile(r"\(assert \((<=|>=) (X_\d+) ([-+.\deE]+)\)\)")
_HEADS = ("command", "wall s min", "median", "max", "peak MiB min", "median", "max")


def main(arguments: Sequence[str] | None = None, command: Sequence[str] = VERIFY) -> int:
    """The program; `command` is what stands for `verify`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each command")
    asked = parser.parse_args(arguments)
    try:
        if asked.runs < 1:
            raise InvalidInput("--runs takes a number from 1")
        machine = Machine.this()
        print(f"{commit()} | {machine.cpu} | {machine.cores} cores | python {machine.python} | torch {machine.torch}")
        print(measure(asked.runs, command))
    except VerifyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measure(runs: int, command: Sequence[str]) -> str:
    """The table. Raises InvalidInput when a command does not end as it should: its time would mean nothing."""
    with tempfile.TemporaryDirectory(prefix="verify-bench-") as folder:
        spec = Path(folder, "narrow.vnnlib")
        spec.write_text(narrow(SPEC.read_text(encoding="utf-8")), encoding="utf-8")
        lines = []
        for name, tail in (("verify --version", ("--version",)),
                           ("verify run, settled by CROWN", ("run", str(NETWORK), str(spec)))):
            done = [run_process((*command, *tail), _LIMIT) for _ in range(runs + 1)]
            _require_success(name, done)
            lines.append((name, *_spread([d.wall_s for d in done[1:]], 3),
                          *_spread([d.peak_mib for d in done[1:]], 1)))
    return aligned([_HEADS, *lines])


def narrow(text: str, factor: float = _SHRINK) -> str:
    """The property on a box with the same centre and `factor` times the width."""
    limits = {(name, side): float(value) for side, name, value in _BOUND.findall(text)}

    def replaced(match: re.Match[str]) -> str:
        side, name, value = match.groups()
        centre = (limits[name, "<="] + limits[name, ">="]) / 2
        return f"(assert ({side} {name} {centre + factor * (float(value) - centre):.9f}))"

    return _BOUND.sub(replaced, text)


def _require_success(name: str, done: Sequence[Finished]) -> None:
    for finished in done:
        if finished.exit_code:
            raise InvalidInput(f"{name} ended with exit code {finished.exit_code}: {finished.last_error_line}")


def _spread(values: Sequence[float], digits: int) -> tuple[str, str, str]:
    """Least, median and largest."""
    return (f"{min(values):.{digits}f}", f"{statistics.median(values):.{digits}f}", f"{max(values):.{digits}f}")


if __name__ == "__main__":
    sys.exit(main())
