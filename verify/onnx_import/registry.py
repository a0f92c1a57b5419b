"""Which ONNX operator is translated by which function, per opset.

    @importer("Slice", since=10, accepts="any")
    def slice_(call: Call) -> Variable: ...

A function serves its operator from opset `since` until one with a later `since` takes over. It returns the values of
the node's outputs, one or a tuple.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from verify.errors import BrokenInvariant
from verify.onnx_import.call import Call, Value

Importer = Callable[[Call], Value | tuple[Value, ...]]

ACCEPTS = ("float", "number", "any")
"""Element types of inputs that depend on the network input: floats; also int32 and int64, with arithmetic that does not
overflow; all (moves, and operators that look at the types themselves)."""


@dataclass(frozen=True)
class Entry:
    """One importer: from which opset it serves, what it accepts, and whether nodes without variable inputs are folded
    as a whole (subgraphs may read variables that are no inputs)."""

    function: Importer
    since: int
    accepts: str
    folds: bool = True


# Filled once, when the package `ops` is imported.
_IMPORTERS: dict[str, dict[int, Entry]] = {}


def importer(
    *op_types: str, since: int = 1, accepts: str = "float", folds: bool = True
) -> Callable[[Importer], Importer]:
    """Registers a function for one operator, or for siblings that share everything. Duplicates raise."""
    if accepts not in ACCEPTS:
        raise BrokenInvariant(f"an importer accepts one of {ACCEPTS}, not {accepts!r}")

    def register(function: Importer) -> Importer:
        for op_type in op_types:
            versions = _IMPORTERS.setdefault(op_type, {})
            if since in versions:
                raise BrokenInvariant(f"two importers for {op_type} since opset {since}")
            versions[since] = Entry(function, since, accepts, folds)
        return function

    return register


def entry(op_type: str, opset: int) -> Entry | None:
    """The importer with the largest `since` not above `opset`, or None."""
    versions = _IMPORTERS.get(op_type, {})
    since = max((version for version in versions if version <= opset), default=None)
    return None if since is None else versions[since]


def lookup(op_type: str, opset: int) -> Importer | None:
    """The function of `entry`."""
    found = entry(op_type, opset)
    return None if found is None else found.function


def entries(op_type: str) -> tuple[Entry, ...]:
    """All importers of an operator, oldest first."""
    return tuple(value for _, value in sorted(_IMPORTERS.get(op_type, {}).items()))


def supported() -> tuple[str, ...]:
    """All operators with an importer, sorted."""
    return tuple(sorted(_IMPORTERS))
