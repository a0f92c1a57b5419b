"""What proofs cost: every instance without a proof, with one, and its check, in turn, in fresh processes.

    python -m benchmarks.proofs LIST.csv [--base DIR] [--cap S] [--sets a,b] [--every N] [--semantics real|float32]
                                [--out rows.csv]

One line per instance, then medians of the ratios, pair by pair: run with proof / run without, check / run without; all
times are of whole processes, start-up included. Only instances that are `unsat` without a proof count. Exit code 0, 1
when a proof that was written is not accepted, 2 for bad input.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.instances import Instance, read_instances, select
from benchmarks.process import ROOT, run_process
from verify.errors import VerifyError

SECONDS_FOR_A_CHECK = 600.0
# As in `benchmarks.process`, through the entry that the console script has: a check does not import the rest.
VERIFY = (sys.executable, "-P", "-c", "from verify.__main__ import main; main()")


@dataclass(frozen=True)
class Costs:
    """One instance: verdicts without and with a proof, the checker's answer, seconds of each process (`checked_s`: the
    check without start-up), and leaves, bytes of the proof."""

    set: str
    onnx: str
    vnnlib: str
    plain: str
    proved: str
    answer: str
    plain_s: float
    proved_s: float
    check_s: float
    checked_s: float
    leaves: int
    bytes: int
    smallest_margin: float


def main(arguments: Sequence[str] | None = None, command: Sequence[str] = VERIFY) -> int:
    """The program; `command` is what stands for `verify`."""
    asked = _parser().parse_args(arguments)
    try:
        instances = select(read_instances(asked.list, asked.base.resolve()), filter(None, asked.sets.split(",")),
                           asked.every)
    except VerifyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for instance in instances:
            rows.append(measure(instance, asked.base.resolve(), min(asked.cap, instance.timeout), asked.semantics,
                                Path(folder), command))
            print(_line(rows[-1]), flush=True)
    if asked.out is not None:
        _write(asked.out, rows)
    print(summary(rows))
    return 1 if any(row.proved == "unsat" and row.answer != "accepted" for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs", description=__doc__.splitlines()[0])
    parser.add_argument("list", type=Path, help="CSV with onnx, vnnlib, timeout and optionally set, expected")
    parser.add_argument("--base", type=Path, default=ROOT, help="folder of the list's paths (default: the repository)")
    parser.add_argument("--cap", type=float, default=math.inf, help="upper limit of every time limit (s)")
    parser.add_argument("--sets", default="", help="only these sets, separated by commas")
    parser.add_argument("--every", type=int, default=1, help="only every N-th instance of what is left")
    parser.add_argument("--semantics", choices=("real", "float32"), default="real", help="what is proved")
    parser.add_argument("--out", type=Path, help="CSV file of the rows")
    return parser


def measure(instance: Instance, base: Path, limit: float, semantics: str, folder: Path, command: Sequence[str]
            ) -> Costs:
    """Three processes for one instance; the later ones only after an `unsat`."""
    files = [str(base / instance.onnx), str(base / instance.vnnlib)]
    proof, report = folder / "proof", folder / "check.json"
    options = ["--timeout", f"{limit:g}", "--semantics", semantics, "-q"]
    plain, plain_s = _timed([*command, "run", *files, *options], limit)
    proved = answer = ""
    proved_s = check_s = checked_s = smallest = math.nan
    leaves = size = 0
    proof.unlink(missing_ok=True)
    if plain == "unsat":
        proved, proved_s = _timed([*command, "run", *files, *options, "--proof", str(proof)], limit)
    if proved == "unsat" and proof.exists():
        answer, check_s = _timed([*command, "check", *files, str(proof), "--json", str(report)], SECONDS_FOR_A_CHECK)
        size = proof.stat().st_size
        document = json.loads(report.read_text())
        leaves, checked_s, smallest = (document.get(key, 0) for key in ("leaves", "seconds", "smallest_margin"))
    return Costs(instance.set, instance.onnx, instance.vnnlib, plain, proved, answer, plain_s, proved_s, check_s,
                 checked_s, leaves, size, smallest)


def _timed(command: Sequence[str], limit: float) -> tuple[str, float]:
    """The first word on standard output, and the seconds of the process."""
    finished = run_process(command, limit + 10)
    return finished.stdout.split("\n", 1)[0].strip() or "error", finished.wall_s


def _line(row: Costs) -> str:
    return (f"{row.set} {Path(row.vnnlib).name}: {row.plain} {row.plain_s:.2f} s; {row.proved or '-'} "
            f"{row.proved_s:.2f} s; {row.answer or '-'} {row.check_s:.2f} s ({row.checked_s:.3f}), {row.leaves} "
            f"leaves, {row.bytes} bytes")


def summary(rows: Sequence[Costs]) -> str:
    """The figures, one per line."""
    plain = [row for row in rows if row.plain == "unsat"]
    done = [row for row in plain if row.answer == "accepted"]
    proved = sum(row.proved == "unsat" for row in plain)
    lines = [f"{len(rows)} instances, {len(plain)} unsat without a proof, {proved} with one, {len(done)} accepted"]
    if done:
        lines += [
            "run with proof / without:   " + _spread([row.proved_s / row.plain_s for row in done]),
            "check / run without:        " + _spread([row.check_s / row.plain_s for row in done]),
            "check, no start-up / same:  " + _spread([row.checked_s / row.plain_s for row in done]),
            "check, seconds:             " + _spread([row.check_s for row in done]),
            "bytes per leaf:             " + _spread([row.bytes / row.leaves for row in done]),
            f"bytes per leaf, all proofs: {sum(r.bytes for r in done) / sum(r.leaves for r in done):.1f}",
            f"seconds in total: without {sum(r.plain_s for r in done):.1f}, with {sum(r.proved_s for r in done):.1f}, "
            f"checks {sum(r.check_s for r in done):.1f}",
        ]
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return (f"median {statistics.median(ordered):.3f}, quartiles {ordered[quarter]:.3f} to "
            f"{ordered[-1 - quarter]:.3f}, range {ordered[0]:.3f} to {ordered[-1]:.3f}")


def _write(path: Path, rows: Sequence[Costs]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [entry.name for entry in fields(Costs)])
        writer.writeheader()
        writer.writerows(map(asdict, rows))


if __name__ == "__main__":
    sys.exit(main())
