"""What a verification returns: a verdict, and the evidence or the reason that goes with it.

Two answers carry evidence, the third carries a reason: `verified` needs a `ClosedTree`, `falsified` a replayed
`Witness`, `unknown` a `Reason`. A `Result` without them cannot be built.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_UP, Context
from enum import Enum

import numpy as np

from verify.errors import BrokenInvariant


class Verdict(Enum):
    """The three answers. `as_vnncomp` is the only place where they become sat / unsat / unknown."""

    VERIFIED = "verified"
    FALSIFIED = "falsified"
    UNKNOWN = "unknown"


class Reason(Enum):
    """Why a verdict is `unknown`."""

    TIMEOUT = "time limit reached"
    MEMORY = "memory limit reached"
    INCOMPLETE = "the method is incomplete and its bounds do not decide the property"
    DEPTH = "a subproblem could not be split any further"
    NUMERICS = "rounding errors are larger than the margin that is left"
    UNSUPPORTED = "the method does not support this network or property"
    PROOF = "the search closed, but the proof that was asked for could not be written"


@dataclass(frozen=True)
class Robustness:
    """How surely a witness violates the property; information beside a verdict that stands without it.

    `label`: `robust` (every execution of the network sees a violation, in whatever order it computes), `fragile` (this
    is not shown), or `unlabelled` (`explanation` says why it was not looked at). `lower`, `upper` enclose the violation
    over the reals (neighbouring floats when it was computed `exact`ly), `rounding` is what rounding can change it by at
    most.
    """

    label: str
    lower: float
    upper: float
    rounding: float
    exact: bool
    explanation: str

    @property
    def at_most(self) -> str:
        """`rounding` with two digits, rounded up."""
        return f"{float(Context(prec=2, rounding=ROUND_UP).create_decimal(self.rounding)):.2g}"


@dataclass(frozen=True)
class Witness:
    """A counterexample that was replayed on onnxruntime; built by `verify.certificate.witness` only.

    `x` has the network's input shape, flattened, float32 (float64 for double networks), inside the declared box;
    `y` is onnxruntime's output on it, flattened; `violation` is the smallest slack by which the constraints of the
    unsafe set hold (0 means exactly on its border). `outside` is 0 unless an input's limits hold no float of the
    network's type (a decimal constant): then it is the distance of the nearest float that `x` uses instead, and the
    real point of the box is proved to be unsafe, too. `optimised` is the output of onnxruntime with its default
    rewrites, `y` that without any. `robustness` compares the violation with what rounding can do.
    """

    x: np.ndarray
    y: np.ndarray
    violation: float
    outside: float = 0.0
    optimised: np.ndarray | None = None
    robustness: Robustness | None = None


@dataclass(frozen=True)
class ClosedTree:
    """Evidence for `verified`: every leaf of a split tree has a finite bound above its rounding error.

    `leaves` is how many, `smallest_margin` the least (bound - rounding error) among them, infinity for the empty
    input set (`note` says so).
    """

    leaves: int
    smallest_margin: float
    note: str = ""

    def __post_init__(self) -> None:
        if not self.smallest_margin > 0:
            raise BrokenInvariant(f"a closed tree needs positive margins, got {self.smallest_margin}")


@dataclass(frozen=True)
class ProofFile:
    """A proof that was written: its file, bytes, trees, leaves, and the least margin in the checker's arithmetic."""

    path: str
    bytes: int
    trees: int
    leaves: int
    smallest_margin: float


@dataclass(frozen=True)
class Stats:
    """Counts and times of one run; `phases` maps a stage to its seconds."""

    seconds: float = 0.0
    domains: int = 0
    best_bound: float = float("nan")
    method: str = ""
    phases: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """Verdict with its evidence (`tree` or `witness`) or its `reason`; `detail` is one line for people."""

    verdict: Verdict
    reason: Reason | None = None
    detail: str = ""
    witness: Witness | None = None
    tree: ClosedTree | None = None
    stats: Stats = field(default_factory=Stats)
    semantics: str = "real"
    proof: ProofFile | None = None

    def __post_init__(self) -> None:
        evidence = {Verdict.VERIFIED: self.tree, Verdict.FALSIFIED: self.witness, Verdict.UNKNOWN: self.reason}
        if evidence[self.verdict] is None:
            raise BrokenInvariant(f"a result cannot be {self.verdict.value} without its evidence or reason")

    @classmethod
    def verified(cls, tree: ClosedTree, **rest) -> Result:
        return cls(Verdict.VERIFIED, tree=tree, **rest)

    @classmethod
    def falsified(cls, witness: Witness, **rest) -> Result:
        return cls(Verdict.FALSIFIED, witness=witness, **rest)

    @classmethod
    def unknown(cls, reason: Reason, detail: str = "", **rest) -> Result:
        return cls(Verdict.UNKNOWN, reason=reason, detail=detail, **rest)

    @property
    def as_vnncomp(self) -> str:
        """`unsat`, `sat`, `timed-out` or `unknown`: the first line of standard output."""
        if self.verdict is Verdict.VERIFIED:
            return "unsat"
        if self.verdict is Verdict.FALSIFIED:
            return "sat"
        return "timed-out" if self.reason is Reason.TIMEOUT else "unknown"
