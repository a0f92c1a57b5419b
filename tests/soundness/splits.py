"""Branch and bound with one kind of split only, so that no other kind hides what it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from verify.bounds.root import Root
from verify.engines import bab
from verify.query import Query

MODES = ("input", "value", "relu")


@contextmanager
def only(mode: str) -> Iterator[None]:
    """Engine `bab` cuts inputs, ranges of values, or ReLUs; where nothing can be collapsed, inputs."""
    honest = bab.choose_plan

    def plan(query: Query, root: Root) -> bab.Plan:
        return honest(query, root) if root.network is None else bab.Plan((mode,), "asked for")

    with mock.patch.object(bab, "choose_plan", plan):
        yield
