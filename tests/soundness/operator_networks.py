"""Random networks of the operators in `operator_table`: one operator alone, or a graph of up to twelve uses,
wired at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.soundness.operator_draw import ENTRIES, LARGEST, Draw, Unfit, Value, begin
from tests.soundness.operator_table import USES, Use

OPSETS = (13, 17, 18, 20, 21, 23, 24)
DEPTH = 8
TRIES = 40


@dataclass(frozen=True, eq=False)
class Drawn:
    """`lower`, `upper`: the box that it was drawn for; `points` (k, *shape) of it and the reference implementation's
    `outputs` there, in the type of the network."""

    onnx: bytes
    operators: tuple[str, ...]
    double: bool
    lower: np.ndarray
    upper: np.ndarray
    points: np.ndarray
    outputs: np.ndarray


def _usable(value: Value) -> bool:
    return value.largest <= LARGEST and value.size <= ENTRIES


def _begin(rng: np.random.Generator, use: Use | None) -> tuple[Draw, np.ndarray, np.ndarray]:
    least = 13 if use is None else use.since
    opset = int(rng.choice([opset for opset in OPSETS if opset >= least]))
    kind = rng.integers(4)
    shape = ((1, int(rng.integers(1, 5))), (1, int(rng.integers(1, 4)), int(rng.integers(1, 4))),
             (1, 1, int(rng.integers(2, 4)), int(rng.integers(2, 4))), (int(rng.integers(1, 5)),))[kind]
    return begin(rng, shape, opset, bool(rng.random() < 0.5))


def _finished(draw: Draw, lower: np.ndarray, upper: np.ndarray, output: Value, names: tuple[str, ...]) -> Drawn:
    x = draw.values[0]
    return Drawn(draw.model(output.name, output.shape), names, draw.double, lower, upper, np.stack(x.samples),
                 np.stack(output.samples))


def single(name: str, seed: object) -> Drawn:
    """One use of an operator on the input. Raises `Unfit` when none of some tries works."""
    rng, use = np.random.default_rng(seed), USES[name]
    for _ in range(TRIES):
        draw, lower, upper = _begin(rng, use)
        try:
            value = use.build(draw)
        except Unfit:
            continue
        if value.largest < 1e6:
            return _finished(draw, lower, upper, value, (name,))
    raise Unfit(name)


def network(seed: object, uses: Callable[[str, Use], bool] = lambda name, use: True, most: int = 12) -> Drawn:
    """A graph of up to `most` uses, of those that fit."""
    rng = np.random.default_rng(seed)
    draw, lower, upper = _begin(rng, None)
    names = [name for name, use in USES.items() if use.since <= draw.opset and uses(name, use)]
    found, wanted = [], draw.number(2, most)
    for _ in range(3 * wanted):
        name, mark = names[rng.integers(len(names))], draw.mark()
        try:
            value = USES[name].build(draw)
        except Unfit:
            draw.back_to(mark)
            continue
        if not _usable(value) or value.depth > 3 * DEPTH:
            draw.back_to(mark)
            continue
        draw.values.append(value)
        found.append(name)
        if len(found) == wanted:
            break
    return _finished(draw, lower, upper, _output(draw), tuple(found))


def _output(draw: Draw) -> Value:
    """The last value, or one of several that nothing reads next to each other."""
    read = {name for node in draw.nodes for name in node.input}
    ends = [v for v in draw.values[1:] if v.name not in read] or [draw.add("Identity", draw.values[-1])]
    if len(ends) == 1 or draw.chance(0.2):
        return ends[-1]
    return draw.add("Concat", *(draw.add("Reshape", v, draw.ints(1, -1)) for v in ends[-3:]), axis=1)
