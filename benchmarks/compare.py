"""Compares two runs instance by instance: what only one of them solved, and the ratio of wall times of what both did.

    python -m benchmarks.compare A.csv B.csv [--plot cactus.png]

    ratio = wall seconds of B / wall seconds of A;  geometric mean and quartiles over instances that both solved

Below 1: B is faster. Exit code 0, 1 when the runs contradict each other, 2 for bad input (such as another schema).
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rows import DECIDED, Row, read_rows
from benchmarks.summary import aligned
from verify.errors import InvalidInput, VerifyError

_RESOLUTION = 1e-3  # seconds to which rows give wall times; no ratio divides by less
_HEADS = ("set", "pairs", "A solved", "B solved", "only A", "only B", "both", "B/A", "25 %", "50 %", "75 %")
Pair = tuple[Row, Row]


@dataclass(frozen=True)
class Comparison:
    """Counts over the pairs of one set; `ratios` holds B/A of every instance that both solved."""

    name: str
    pairs: int
    only_a: int
    only_b: int
    ratios: tuple[float, ...]

    def cells(self) -> tuple[str, ...]:
        """One line of the table."""
        both = len(self.ratios)
        counts = (self.pairs, both + self.only_a, both + self.only_b, self.only_a, self.only_b, both)
        times = ("-",) * 4
        if both:
            times = tuple(f"{v:.3f}" for v in (statistics.geometric_mean(self.ratios), *quartiles(self.ratios)))
        return self.name, *map(str, counts), *times


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__.splitlines()[0])
    parser.add_argument("a", type=Path, metavar="A.csv")
    parser.add_argument("b", type=Path, metavar="B.csv")
    parser.add_argument("--plot", type=Path, help="cactus plot of both runs (needs matplotlib)")
    asked = parser.parse_args(arguments)
    try:
        a, b = read_rows(asked.a), read_rows(asked.b)
        pairs = pair(a, b)
        if not pairs:
            raise InvalidInput(f"{asked.a} and {asked.b} have no instance in common")
        print("\n".join(report(a, b, pairs)))
        if asked.plot is not None:
            plot_cactus(a, b, asked.plot)
    except VerifyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 1 if contradictions(pairs) else 0


def pair(a: Sequence[Row], b: Sequence[Row]) -> tuple[Pair, ...]:
    """The rows of both runs on the same instance, in the order of the first."""
    others = {row.key: row for row in b}
    return tuple((row, others[row.key]) for row in a if row.key in others)


def compare(name: str, pairs: Sequence[Pair]) -> Comparison:
    """The counts and ratios of these pairs."""
    solved = [(a.outcome == "solved", b.outcome == "solved") for a, b in pairs]
    ratios = tuple(max(b.wall_s, _RESOLUTION) / max(a.wall_s, _RESOLUTION)
                   for (a, b), both in zip(pairs, solved, strict=True) if all(both))
    return Comparison(name, len(pairs), solved.count((True, False)), solved.count((False, True)), ratios)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """25, 50 and 75 per cent of at least one value, interpolated."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    first, second, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, second, third


def contradictions(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Pairs of which one says sat and the other unsat: at least one of the two programs is wrong."""
    return tuple((a, b) for a, b in pairs if {a.verdict, b.verdict} == set(DECIDED))


def report(a: Sequence[Row], b: Sequence[Row], pairs: Sequence[Pair]) -> list[str]:
    """The lines that are printed."""
    sets = tuple(dict.fromkeys(first.set for first, _ in pairs))
    parts = [compare(name, [p for p in pairs if p[0].set == name]) for name in sets]
    if len(sets) > 1:
        parts.append(compare("all", pairs))
    lines = [f"A: {' | '.join(a[0].run)}", f"B: {' | '.join(b[0].run)}", *_warnings(a, b, pairs)]
    lines.append(aligned([_HEADS, *(part.cells() for part in parts)]))
    for title, here, there in (("only A", 0, 1), ("only B", 1, 0)):
        lines += [f"{title}: {p[here].verdict} {p[here].onnx} {p[here].vnnlib} (the other: {p[there].outcome})"
                  for p in pairs if p[here].outcome == "solved" and p[there].outcome != "solved"]
    lines += [f"contradiction: A {x.verdict}, B {y.verdict}: {x.onnx} {x.vnnlib}" for x, y in contradictions(pairs)]
    return lines


def _warnings(a: Sequence[Row], b: Sequence[Row], pairs: Sequence[Pair]) -> list[str]:
    lines = []
    if a[0].machine != b[0].machine:
        lines.append("warning: different machines or versions; their wall times cannot be compared")
    if limits := sum(x.limit_s != y.limit_s for x, y in pairs):
        lines.append(f"warning: {limits} pairs had different time limits")
    for name, rows in (("A", a), ("B", b)):
        if single := len(rows) - len(pairs):
            lines.append(f"warning: {single} instances only in {name} are left out")
    return lines


def plot_cactus(a: Sequence[Row], b: Sequence[Row], path: Path) -> None:
    """Wall seconds (sorted, log) against the number of solved instances. Raises InvalidInput without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InvalidInput("--plot needs matplotlib, which is not installed; the table above is complete") from error
    axes = (figure := Figure(figsize=(6, 4), layout="constrained")).subplots()
    for name, rows in (("A", a), ("B", b)):
        times = sorted(max(row.wall_s, _RESOLUTION) for row in rows if row.outcome == "solved")
        axes.step(range(1, len(times) + 1), times, where="post", label=f"{name}: {rows[0].commit} {rows[0].options}")
    axes.set(xlabel="solved instances", ylabel="wall time (s)", yscale="log")
    axes.legend()
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot write {path}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
