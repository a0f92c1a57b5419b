"""`verify diff`: the command line of `verify.pairs`. Everything heavy is imported inside the command.

Standard output: first the answer, then a table per output or the counterexample. The answer of a decision is `unsat`
(the property of the pair holds), `sat`, `unknown` or `timed-out`, as of `verify run`; that of a bisection `delta D` or
`radius R`, what was proved, or `unknown` or `timed-out` where nothing was. Exit codes are those of `verify run`; a
bisection that proved something ends with 0.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from verify import STARTED
from verify.errors import InvalidInput
from verify.options import require_file
from verify.supervise import Outcome, supervise

if TYPE_CHECKING:
    import numpy as np

    from verify.pairs.bisect import How
    from verify.pairs.network import Pair
    from verify.query import InputBox


@dataclass(frozen=True)
class Asked:
    """What one run is asked to do. Raises `InvalidInput` naming the options that do not go together."""

    first: Path
    second: Path
    eps: float | None
    center: str | None
    box: Path | None
    clip: str | None
    delta: float | None
    bisect: bool
    agree: str | None
    rising: str | None
    falling: str | None
    merged: bool
    timeout: float | None
    json: Path | None

    def __post_init__(self) -> None:
        require_file("first network", self.first)
        require_file("second network", self.second)
        if (self.box is None) == (self.eps is None):
            raise InvalidInput("the input set is either --box FILE, or --eps E around --center X")
        if (self.eps is None) != (self.center is None):
            raise InvalidInput("--eps and --center go together")
        if self.clip is not None and self.eps is None:
            raise InvalidInput("--clip belongs to --eps")
        if self.box is not None:
            require_file("property", self.box)
        if not self.bisect and self.agree is None and self.delta is None:
            raise InvalidInput("what is asked? --delta D (never apart by more), --bisect (the largest difference; with "
                               "--delta the largest radius), or --agree max (the same class)")
        if self.agree is not None and (self.bisect or self.delta is not None or self.rising is not None):
            raise InvalidInput("--agree is a question of its own, without --delta, --bisect and --rising")
        if self.rising is not None and self.bisect:
            raise InvalidInput("--rising is decided for one --delta; it is not bisected")
        if self.falling is not None and self.rising is None:
            raise InvalidInput("--falling belongs to --rising")
        if self.bisect and self.delta is not None and self.eps is None:
            raise InvalidInput("--bisect with --delta looks for the largest radius up to --eps")
        for name, value in (("--eps", self.eps), ("--timeout", self.timeout)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InvalidInput(f"{name} takes a positive number, got {value}")
        if self.json is not None and not self.json.parent.is_dir():
            raise InvalidInput(f"--json cannot be written: {self.json} needs an existing folder and a file name")


def diff(
    first: Annotated[Path, typer.Argument(help="network: .onnx or .onnx.gz")],
    second: Annotated[Path, typer.Argument(help="the network it is compared with")],
    eps: Annotated[float | None, typer.Option(help="radius of the maximum-norm ball")] = None,
    center: Annotated[str | None, typer.Option(help="its centre: a .npy or text file, or numbers such as 0.1,0.2"
                                               )] = None,
    box: Annotated[Path | None, typer.Option(help="property (.vnnlib) whose input box is taken")] = None,
    clip: Annotated[str | None, typer.Option(help="limits of all inputs, such as 0,1")] = None,
    delta: Annotated[float | None, typer.Option(help="outputs may differ by so much")] = None,
    bisect: Annotated[bool, typer.Option("--bisect", help="find the largest difference; with --delta the largest "
                                                          "radius up to --eps")] = False,
    agree: Annotated[str | None, typer.Option(help="both networks have their max (or min) output at the same place"
                                              )] = None,
    rising: Annotated[str | None, typer.Option(help="inputs, such as 0,2: where the second network's point is higher "
                                                    "in these, its outputs are not lower than the first one's by "
                                                    "more than --delta")] = None,
    falling: Annotated[str | None, typer.Option(help="outputs that are to fall instead")] = None,
    ratio: Annotated[float, typer.Option(help="bisection ends when both ends are within this factor")] = 1.1,
    timeout: Annotated[float | None, typer.Option(help="seconds for everything")] = None,
    method: Annotated[str, typer.Option(help="engine that decides, see `verify methods`")] = "portfolio",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    seed: Annotated[int, typer.Option(help="of the search for differences")] = 0,
    json: Annotated[Path | None, typer.Option(help="write the whole result here")] = None,
    merged: Annotated[bool, typer.Option("--merged", help="the networks side by side, not coupled")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="tracebacks of errors")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="no progress and no notes")] = False,
) -> int:
    """Proves how far apart two networks are on a box: within delta, or the largest difference by bisection."""
    asked = Asked(first, second, eps, center, box, clip, delta, bisect, agree, rising, falling, merged, timeout, json)
    if json is not None:
        json.unlink(missing_ok=True)
    deadline = STARTED + (math.inf if timeout is None else timeout)
    work = partial(_work, asked, deadline, ratio, (method, device, seed), quiet)
    outcome = supervise(work, deadline=deadline, verbose=verbose)
    if sys.stderr.isatty():
        from verify import terminal

        terminal.clear_line(sys.stderr)
    if outcome.message and not (quiet and outcome.exit_code <= 4):
        print(outcome.message, file=sys.stderr, flush=True)
    if outcome.line:
        print(outcome.line, flush=True)
    return outcome.exit_code


def _work(asked: Asked, deadline: float, ratio: float, options: tuple[str, str, int], quiet: bool) -> Outcome:
    """Inside the supervised process."""
    from verify import runtime, terminal
    from verify.budget import Budget
    from verify.onnx_import import load_network
    from verify.pairs.bisect import How
    from verify.pairs.network import pair
    from verify.pairs.tie import Tie

    runtime.configure()
    method, device, seed = options
    how = How(method, device, seed=seed, watch=None if quiet else terminal.observer(sys.stderr, STARTED))
    how.tell("loading")
    tie = Tie(() if asked.rising is None else _numbers(asked.rising, "--rising"))
    both = pair(load_network(asked.first), load_network(asked.second), tie, coupled=not asked.merged)
    budget = Budget(deadline=deadline, start=STARTED)
    if not asked.bisect:
        return _decided(asked, both, budget, how)
    if asked.delta is None:
        return _spread(asked, both, budget, how, ratio)
    return _radius(asked, both, budget, how, ratio)


def _decided(asked: Asked, both: Pair, budget, how: How) -> Outcome:
    from verify import report
    from verify.pairs import properties
    from verify.pairs.report import decision_document, witness_lines

    box, m = _box(asked, both, asked.eps), both.outputs
    if asked.agree is not None:
        spec = properties.agreement(box, m, asked.agree)
    elif asked.rising is not None:
        falls = () if asked.falling is None else _numbers(asked.falling, "--falling")
        spec = properties.monotone(box, m, both.tie, falling=falls, delta=asked.delta)
    else:
        spec = properties.equivalence(box, m, asked.delta)
    result = how.ask(both.network, spec, budget)
    if asked.json is not None:
        report.write_json(asked.json, decision_document(asked, both, spec, result))
    lines = [result.as_vnncomp, *(witness_lines(both, result.witness) if result.witness is not None else ())]
    return Outcome(report.exit_code(result), "\n".join(lines), "\n".join([*_notes(both), report.summary(result)]))


def _spread(asked: Asked, both: Pair, budget, how: How, ratio: float) -> Outcome:
    from verify import report
    from verify.pairs.bisect import largest_difference
    from verify.pairs.report import seen_lines, spread_document, spread_lines, steps_lines

    spread = largest_difference(both, _box(asked, both, asked.eps), budget, ratio, how)
    proved = math.isfinite(spread.upper)
    answer = f"delta {spread.upper:.6g}" if proved else _nothing(budget)
    if asked.json is not None:
        report.write_json(asked.json, spread_document(asked, both, answer, spread, budget.elapsed))
    lines = [answer, *spread_lines(spread), *seen_lines(spread)]
    notes = [*_notes(both), *steps_lines("delta", spread.steps), f"{budget.elapsed:.2f} s"]
    return Outcome(0 if proved else _code(answer), "\n".join(lines), "\n".join(notes))


def _radius(asked: Asked, both: Pair, budget, how: How, ratio: float) -> Outcome:
    from verify import report
    from verify.pairs.bisect import largest_radius
    from verify.pairs.report import radius_document, steps_lines

    radius, steps = largest_radius(both, partial(_box, asked, both), asked.eps, asked.delta, budget, ratio, how)
    answer = f"radius {radius:.6g}" if radius else _nothing(budget)
    if asked.json is not None:
        report.write_json(asked.json, radius_document(asked, both, answer, radius, steps, budget.elapsed))
    notes = [*_notes(both), *steps_lines("radius", steps), f"{budget.elapsed:.2f} s"]
    return Outcome(0 if radius else _code(answer), answer, "\n".join(notes))


def _nothing(budget) -> str:
    return "timed-out" if budget.expired else "unknown"


def _code(answer: str) -> int:
    return {"timed-out": 4}.get(answer, 3)


def _notes(both: Pair) -> list[str]:
    return [f"side by side: {both.note}"] if both.note else ["coupled: every neuron with its partner's distance"]


def _box(asked: Asked, both: Pair, eps: float | None) -> InputBox:
    """The input box; for a ball that of radius `eps`."""
    from verify.properties import robustness
    from verify.vnnlib import read_spec

    if asked.box is not None:
        spec = read_spec(asked.box)
        if spec.inputs != both.inputs:
            raise InvalidInput(f"{asked.box} declares {spec.inputs} inputs, the networks have {both.inputs}")
        if len(spec.cases) != 1:
            raise InvalidInput(f"{asked.box} has {len(spec.cases)} input boxes; --box takes a property with one")
        return spec.cases[0].box
    center, clip = _center(asked.center), None
    if center.size != both.inputs:
        raise InvalidInput(f"--center has {center.size} numbers, the networks have {both.inputs} inputs")
    if asked.clip is not None:
        clip = _floats(asked.clip, "--clip")
        if len(clip) != 2:
            raise InvalidInput(f"--clip takes two numbers such as 0,1, got {asked.clip!r}")
    return robustness(center, eps, 0, 2, clip).cases[0].box


def _center(text: str) -> np.ndarray:
    import numpy as np

    path = Path(text)
    if not path.is_file():
        return np.array(_floats(text, "--center"))
    try:
        values = np.load(path) if path.suffix == ".npy" else np.array(path.read_text().replace(",", " ").split(), float)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"--center {path} cannot be read: {error}") from error
    return np.asarray(values, dtype=np.float64).reshape(-1)


def _floats(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput(f"{option} takes a file or numbers with commas between them, got {text!r}") from error


def _numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput(f"{option} takes whole numbers with commas between them, got {text!r}") from error
