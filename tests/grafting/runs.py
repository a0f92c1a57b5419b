"""A tiny network as a file, its data, and a run that grafts it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from grafting.choices import Choices
from grafting.run import Plan
from tests.grafting.toys import SHAPE, conv, images
from training.data import Data, from_arrays
from training.export import export_onnx


def data() -> Data:
    """Labels are what the network says, for a quarter of the test images not."""
    x, t = images(80), images(8, 1)
    labels = conv()(t).argmax(1)
    labels[:2] = (labels[:2] + 1) % 3
    return from_arrays(x, conv()(x).argmax(1), t, labels, validation=0.1, classes=3)


def plan(place: Path, **changes) -> Plan:
    """Grafts `place`/base/model.onnx into `place`/out; `changes` of the plan and of the choices."""
    source = place / "base" / "model.onnx"
    if not source.exists():
        export_onnx(conv(), SHAPE, source)
    own = {name: changes.pop(name) for name in list(changes) if name in Plan.__dataclass_fields__}
    choices = Choices(**{"eps": 0.05, "bounds": "crown", "calibration": 40, "bounded": 3, "recipe": "standard",
                         "device": "cpu", **changes})
    return replace(Plan(source, place / "out", data(), choices, timeout=1.0), **own)
