"""Which ONNX operator is translated by which function, per opset.

    @importer("Slice", since=10)
    def slice_(call: Call) -> Variable: ...

A function serves its operator from opset `since` until one with a later `since` takes over. It returns the values of
the node's outputs, one or a tuple.
"""

from __future__ import annotations

from collections.abc import Callable

from verify.errors import BrokenInvariant
from verify.onnx_import.call import Call, Value

Importer = Callable[[Call], Value | tuple[Value, ...]]

# Filled once, when the package `ops` is imported.
_IMPORTERS: dict[str, dict[int, Importer]] = {}


def importer(*op_types: str, since: int = 1) -> Callable[[Importer], Importer]:
    """Registers a function for one operator, or for siblings that share everything. Duplicates raise."""

    def register(function: Importer) -> Importer:
        for op_type in op_types:
            versions = _IMPORTERS.setdefault(op_type, {})
            if since in versions:
                raise BrokenInvariant(f"two importers for {op_type} since opset {since}")
            versions[since] = function
        return function

    return register


def lookup(op_type: str, opset: int) -> Importer | None:
    """The importer with the largest `since` not above `opset`, or None."""
    versions = _IMPORTERS.get(op_type, {})
    since = max((version for version in versions if version <= opset), default=None)
    return None if since is None else versions[since]


def supported() -> tuple[str, ...]:
    """All operators with an importer, sorted."""
    return tuple(sorted(_IMPORTERS))
