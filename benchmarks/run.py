"""Runs `verify run` on a list of instances, one fresh process each, and writes one CSV row per instance.

    python -m benchmarks.run LIST.csv [--base DIR] [--cap S] [--sets a,b] [--every N] [--out rows.csv] [--resume]
                             [-- more options of verify run]

The measured program is the one of this checkout, with the python that runs this. Rows are written as soon as they are
known. Exit code 0, 1 when a verdict contradicts the list's, 2 for bad input. See README.md for the columns.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from benchmarks.execute import Setting, run_instance
from benchmarks.instances import Instance, read_instances, select
from benchmarks.machine import Machine, commit
from benchmarks.process import ROOT, VERIFY
from benchmarks.rows import Row, header_line, line_of, read_rows
from benchmarks.summary import summarise, table
from verify.errors import InvalidInput, VerifyError

_OURS = ("--timeout", "--json", "--witness")


def main(arguments: Sequence[str] | None = None, command: Sequence[str] = VERIFY) -> int:
    """The program; `command` is what stands for `verify`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    asked = _parser().parse_args(arguments[:cut])
    try:
        return _measure(asked, tuple(arguments[cut + 1:]), command)
    except VerifyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; --resume goes on with the rows in --out", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("list", type=Path, help="CSV with onnx, vnnlib, timeout and optionally set, expected")
    parser.add_argument("--base", type=Path, default=ROOT, help="folder of the list's paths (default: the repository)")
    parser.add_argument("--cap", type=float, default=math.inf, help="upper limit of every time limit (s)")
    parser.add_argument("--sets", default="", help="only these sets, separated by commas")
    parser.add_argument("--every", type=int, default=1, help="only every N-th instance of what is left")
    parser.add_argument("--out", type=Path, help="file of the rows (default: standard output)")
    parser.add_argument("--resume", action="store_true", help="go on with --out, without the instances that it has")
    return parser


def _measure(asked: argparse.Namespace, extra: tuple[str, ...], command: Sequence[str]) -> int:
    for option in extra:
        if option.partition("=")[0] in _OURS:
            raise InvalidInput(f"{option}: set by the benchmark itself; --cap limits the time")
    if not asked.cap > 0 or asked.every < 1:
        raise InvalidInput("--cap takes seconds above 0, --every a number from 1")
    if asked.resume and asked.out is None:
        raise InvalidInput("--resume needs --out, the file to go on with")
    base = asked.base.resolve()
    instances = select(read_instances(asked.list, base), filter(None, asked.sets.split(",")), asked.every)
    setting = Setting(commit(), Machine.this(), extra)
    old = _old_rows(asked.out, asked.resume)
    if old and old[0].run != setting.run:
        raise InvalidInput(f"{asked.out} is another run ({' | '.join(old[0].run)}) than this one "
                           f"({' | '.join(setting.run)}); choose another --out")
    rows, todo = _split(instances, old, asked.cap, asked.out)
    with _sink(asked.out) as stream:
        for number, (instance, limit) in enumerate(todo, 1):
            row = run_instance(instance, limit, base, setting, command)
            if commit() != setting.commit:
                raise InvalidInput(f"the sources changed during the run (they were {setting.commit}); "
                                   "measure in a worktree that nobody edits")
            print(line_of(row), end="", file=stream, flush=True)
            rows.append(row)
            _show(f"[{number}/{len(todo)}] {row.set} {Path(row.vnnlib).name}: {row.verdict} in {row.wall_s:.2f} s")
    return _finish(rows, sys.stderr if asked.out is None else sys.stdout)


def _finish(rows: Sequence[Row], stream: IO[str]) -> int:
    """Prints the table and every contradiction; the exit code."""
    print(table(summarise(rows)) if rows else "no instances", file=stream)
    wrong = [row for row in rows if row.outcome == "contradiction"]
    for row in wrong:
        print(f"contradiction: {row.verdict}, expected {row.expected}: {row.onnx} {row.vnnlib}", file=stream)
    return 1 if wrong else 0


def _show(line: str) -> None:
    if sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)


def _old_rows(out: Path | None, resume: bool) -> tuple[Row, ...]:
    """The rows to go on with. A measurement is never overwritten; a half-written last line is dropped."""
    if out is None or not out.exists():
        return ()
    if not resume:
        raise InvalidInput(f"{out} exists; --resume goes on with it, or choose another --out")
    text = out.read_bytes()
    if not text.endswith(b"\n"):
        out.write_bytes(text[:text.rfind(b"\n") + 1])
    return read_rows(out) if out.stat().st_size else ()


def _split(instances: Sequence[Instance], old: Sequence[Row], cap: float, out: Path | None,
           ) -> tuple[list[Row], list[tuple[Instance, float]]]:
    """The rows that are there already, and what is left to do with its limit in seconds."""
    known = {row.key: row for row in old}
    rows, todo = [], []
    for instance in instances:
        limit = min(instance.timeout, cap)
        row = known.get((instance.set, instance.onnx, instance.vnnlib))
        if row is None:
            todo.append((instance, limit))
        elif row.limit_s != limit:
            raise InvalidInput(f"{out}: {row.vnnlib} ran with {row.limit_s:g} s, not {limit:g} s; choose another --out")
        else:
            rows.append(row)
    return rows, todo


@contextmanager
def _sink(out: Path | None) -> Iterator[IO[str]]:
    """Where rows go: the end of `out`, or standard output."""
    if out is None:
        print(header_line(), end="", flush=True)
        yield sys.stdout
        return
    try:
        stream = out.open("a", encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"cannot write {out}: {error.strerror}") from error
    with stream:
        if stream.tell() == 0:
            print(header_line(), end="", file=stream, flush=True)
        yield stream


if __name__ == "__main__":
    sys.exit(main())
