"""What an evaluation found: per image an outcome, per ReLU layer how much of it stays undecided; counts and intervals.

Outcomes are kept image by image, so that two networks can be compared on the same images.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

from training.statistics import par2, wilson
from verify.errors import InvalidInput

STATUSES = ("misclassified", "attacked", "verified", "falsified", "undecided")


@dataclass(frozen=True)
class Image:
    """One image's outcome. `index`: its position in the test part; `crown`: whether CROWN proves it, `crown_margin`
    the bound (None where it was misclassified); `seconds`, `domains`, `reason` of the complete verifier (None, 0, ""
    where it was not asked)."""

    index: int
    label: int
    predicted: int
    status: str
    crown: bool = False
    crown_margin: float | None = None
    seconds: float | None = None
    domains: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Layer:
    """One ReLU layer: neurons, and per correctly classified image the mean number of unstable ones and the mean sum of
    relaxation areas (see `training.certify`)."""

    name: str
    neurons: int
    unstable: float
    area: float


@dataclass(frozen=True)
class Evaluation:
    """All that was measured on one file. `bounds` names the method behind `layers` and `Image.crown`."""

    name: str
    sha256: str
    file_bytes: int
    parameters: int
    relus: int
    input_shape: tuple[int, ...]
    classes: int
    eps: float
    timeout: float | None
    bounds: str
    attacks: tuple[str, ...]
    images: tuple[Image, ...]
    layers: tuple[Layer, ...]

    def flags(self, what: str) -> tuple[bool, ...]:
        """One boolean per image: `clean`, `robust` (withstood the attacks), `crown`, `verified`, `falsified` (a
        counterexample to a correct answer is known) or `undecided`."""
        wanted = _FLAGS.get(what)
        if wanted is None:
            raise InvalidInput(f"no flag {what!r}; there are {', '.join(_FLAGS)}")
        return tuple(wanted(image) for image in self.images)

    def count(self, what: str) -> int:
        return sum(self.flags(what))

    def share(self, what: str) -> float:
        """Fraction of all images; NaN without images."""
        return self.count(what) / len(self.images) if self.images else math.nan

    def interval(self, what: str, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's."""
        return wilson(self.count(what), len(self.images), confidence)

    @cached_property
    def asked(self) -> tuple[Image, ...]:
        """The images that the complete verifier was asked about."""
        return tuple(image for image in self.images if image.seconds is not None)

    @property
    def par2(self) -> float:
        """Mean seconds over the asked images, undecided ones counted as twice the time limit."""
        return par2([image.seconds for image in self.asked], [image.status != "undecided" for image in self.asked],
                    self.timeout or math.nan)

    @property
    def unstable(self) -> float:
        """Mean number of unstable neurons per image, all layers."""
        return sum(layer.unstable for layer in self.layers)

    @property
    def area(self) -> float:
        return sum(layer.area for layer in self.layers)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` undoes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Evaluation:
        values = {field.name: found[field.name] for field in fields(cls)}
        for name in ("input_shape", "attacks"):
            values[name] = tuple(values[name])
        values["images"] = tuple(Image(**image) for image in found["images"])
        values["layers"] = tuple(Layer(**layer) for layer in found["layers"])
        return cls(**values)

    def csv(self) -> str:
        """One line per image."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = [field.name for field in fields(Image)]
        writer.writerow(["network", *names])
        writer.writerows([self.name, *(getattr(image, name) for name in names)] for image in self.images)
        return text.getvalue()


_FLAGS = MappingProxyType({
    "clean": lambda image: image.status != "misclassified",
    "robust": lambda image: image.status not in ("misclassified", "attacked"),
    "crown": lambda image: image.crown,
    "verified": lambda image: image.status == "verified",
    "falsified": lambda image: image.status in ("attacked", "falsified"),
    "undecided": lambda image: image.status == "undecided",
})
