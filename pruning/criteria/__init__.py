"""The criteria by name. Each file has one; a new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pruning.criteria import (
    grasp,
    hydra,
    instability,
    magnitude,
    nrs,
    random,
    relaxation_area,
    slimming,
    snip,
    synflow,
    taylor,
)
from pruning.criteria.base import Context, Criterion, Scores
from verify.errors import InvalidInput

CRITERIA: Mapping[str, Criterion] = MappingProxyType({module.CRITERION.name: module.CRITERION for module in (
    random, magnitude, snip, grasp, synflow, taylor, hydra, slimming, nrs, instability, relaxation_area)})


def criterion(name: str, kind: str) -> Criterion:
    """The criterion of that name, if it can score units of that kind. Raises `InvalidInput` saying what exists."""
    if name not in CRITERIA:
        raise InvalidInput(f"unknown criterion {name!r}: one of {', '.join(CRITERIA)}")
    found = CRITERIA[name]
    if kind not in found.kinds:
        able = ", ".join(other.name for other in CRITERIA.values() if kind in other.kinds)
        raise InvalidInput(f"criterion {name!r} scores {' and '.join(found.kinds)}s, not {kind}s; those are scored "
                           f"by {able}")
    return found


__all__ = ["CRITERIA", "Context", "Criterion", "Scores", "criterion"]
