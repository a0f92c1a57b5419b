"""A context with few images for the tests of scores."""

from __future__ import annotations

from grafting.scores import Context
from tests.grafting.toys import SHAPE, images, mlp


def context(model=None, **changes) -> Context:
    model, x = model or mlp(), images(30)
    return Context(model, SHAPE, x, model(x).argmax(1), 0.1, **{"bounds": "crown", "bounded": 3, **changes})
