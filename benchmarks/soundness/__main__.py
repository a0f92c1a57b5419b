"""`python -m benchmarks.soundness`: runs the laboratory and writes its report.

Exit code 0: nothing wrong; 1: something is; 2: bad arguments; 3: an experiment failed and has no result.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import Machine, commit
from benchmarks.soundness.driver import Plan, run_all
from benchmarks.soundness.experiment import MODULES, Experiment, load
from benchmarks.soundness.journal import Identity, Journal
from benchmarks.soundness.report import document, markdown
from verify.errors import InvalidInput, VerifyError

DEFAULT_SECONDS = 600.0


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    asked = _parser().parse_args(arguments)
    try:
        names = tuple(filter(None, asked.only.split(","))) or MODULES
        if unknown := set(names) - set(MODULES):
            raise InvalidInput(f"no experiment {sorted(unknown)[0]}; there are: {', '.join(MODULES)}")
        if asked.jobs < 1 or (asked.seconds is not None and not asked.seconds > 0):
            raise InvalidInput("--jobs takes a number from 1, --seconds a number above 0")
        experiments = load(names)
        if asked.case is not None:
            return _one_case(experiments, asked.case, asked.seed)
        return _run(asked, experiments, f"python -m benchmarks.soundness {shlex.join(arguments)}")
    except VerifyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soundness", description=__doc__.splitlines()[0])
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--seconds", type=float, help=f"time for all experiments together (default {DEFAULT_SECONDS:g})")
    how.add_argument("--full", action="store_true", help="every experiment up to its full number of cases: hours")
    how.add_argument("--case", type=int, help="one case of one experiment (--only), printed and not reported")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--seed", type=int, default=10_000, help="where the series begin (default 10000)")
    parser.add_argument("--only", default="", help=f"experiments, separated by commas, of: {', '.join(MODULES)}")
    parser.add_argument("--out", type=Path, default=Path("soundness-report.md"),
                        help="the report; .json, .journal and the folder -wrong lie next to it")
    return parser


def _one_case(experiments: Sequence[Experiment], case: int, seed: int) -> int:
    if len(experiments) != 1 or case < 0:
        raise InvalidInput("--case takes a number from 0 and needs --only with one experiment")
    tally = experiments[0].run(range(case, case + 1), seed)
    print(json.dumps(tally.as_json(), indent=1))
    return 1 if tally.wrong else 0


def _run(asked: argparse.Namespace, experiments: Sequence[Experiment], command: str) -> int:
    out: Path = asked.out
    if not out.parent.is_dir():
        raise InvalidInput(f"{out.parent} is no folder; --out names a file in an existing one")
    seconds = None if asked.full else asked.seconds or DEFAULT_SECONDS
    identity = Identity(asked.seed, commit())
    journal = Journal(identity, out.with_suffix(".journal"))
    plan = Plan(asked.seed, seconds, asked.jobs, out.with_name(out.stem + "-wrong"))
    failures = run_all(experiments, plan, journal, lambda line: print(line, flush=True))
    found = document(experiments, journal, failures, command, Machine.this())
    if commit() != identity.commit:
        failures = {**failures, "all": ["the sources changed during the run; run it in a checkout that nobody edits"]}
        found["experiments"][0]["failures"] += failures["all"]
    out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    out.write_text(markdown(found), encoding="utf-8")
    print(f"{found['tried']} tried, {found['wrong']} wrong: {out}")
    return 1 if found["wrong"] else 3 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
