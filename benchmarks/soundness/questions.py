"""Asking the verifier, and writing questions down: what all experiments share.

An answer is a verdict word or `error ...`: an exception is never a verdict, and so never wrong here; it is counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from verify.budget import Budget
from verify.errors import VerifyError
from verify.onnx_import import from_bytes
from verify.pipeline import Problem, solve
from verify.query import Case, LinearConstraint, Spec
from verify.result import Result

ERRORS = (VerifyError, RuntimeError, MemoryError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError,
          AssertionError, OSError)
"""Whatever a verification may raise; the experiments count it by its class."""


@dataclass(frozen=True)
class Answer:
    """`verdict`: sat, unsat, unknown, timed-out, or `error` and the class; `result` is None after an error."""

    verdict: str
    result: Result | None = None
    detail: str = ""

    def contradicts(self, violated: bool) -> bool:
        """Whether it is wrong about a property that is known to be violated, or to hold."""
        return self.verdict == ("unsat" if violated else "sat")


def ask(onnx: bytes, spec: Spec, engine: str, seconds: float, dtype: str = "auto", seed: int = 0,
        semantics: str = "real") -> Answer:
    """What the verifier says within `seconds`, in this process, on the CPU."""
    try:
        asked = Problem(from_bytes(onnx), spec, semantics)
        result = solve(asked, engine, Budget.seconds(seconds), "cpu", dtype, seed)
    except ERRORS as error:
        return Answer(f"error {type(error).__name__}", None, " ".join(str(error).split())[:200])
    return Answer(result.as_vnncomp, result)


def decimal(value: Fraction) -> str:
    """The exact decimal of a fraction whose denominator has no other factors than 2 and 5.

    Raises ValueError for others."""
    exact, places = value, 0
    while exact.denominator != 1 and places <= 2200:
        # Every factor 2 or 5 of the denominator goes with one factor 10.
        exact, places = exact * 10, places + 1
    if exact.denominator != 1:
        raise ValueError(f"{value} is no finite decimal")
    digits = str(abs(exact.numerator)).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (digits if places == 0 else f"{digits[:-places]}.{digits[-places:]}")


def spec_text(spec: Spec) -> str:
    """The property as VNN-LIB 1.0 text, exactly: rows are multiplied by their common denominator."""
    lines = [f"(declare-const {kind}_{k} Real)"
             for kind, count in (("X", spec.inputs), ("Y", spec.outputs)) for k in range(count)]
    if len(spec.cases) == 1:
        lines += [f"(assert {limit})" for limit in _limits(spec.cases[0])]
        parts = [" ".join(map(_row_text, disjunct)) for disjunct in spec.cases[0].disjuncts]
    else:
        parts = [" ".join((*_limits(case), *map(_row_text, disjunct)))
                 for case in spec.cases for disjunct in case.disjuncts]
    lines.append("(assert (or " + "\n  ".join(f"(and {part})" for part in parts) + "))")
    return "\n".join(lines) + "\n"


def _limits(case: Case) -> list[str]:
    low, high = ([decimal(Fraction(v)) for v in side] for side in (case.box.lower, case.box.upper))
    return [f"({sign} X_{k} {side[k]})" for k in range(len(low)) for sign, side in ((">=", low), ("<=", high))]


def _row_text(h: LinearConstraint) -> str:
    terms = [(f"Y_{k}", c) for k, c in h.y] + [(f"X_{k}", c) for k, c in h.x]
    scale = math.lcm(h.constant.denominator, *(c.denominator for _, c in terms))
    parts = " ".join(f"(* {int(c * scale)} {name})" for name, c in terms)
    return f"({'<' if h.strict else '<='} (+ {parts} {int(h.constant * scale)}) 0)"
