"""Robustness properties of single images as VNN-LIB files, so that any verifier can be asked about an exported network.

The unsafe set of a file: a point of the box |x - x0| <= eps, 0 <= x <= 1, at which some other class scores at least as
high as `label`. Limits are written with nine digits, rounded outward: the file's box contains the ball.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from pathlib import Path

from torch import Tensor

from training.evaluation import Evaluation
from training.files import write_text

DIGITS = 9
PROPERTIES = "properties"
"""The folder of a run that holds them."""
ORDER = ("verified", "undecided", "falsified", "attacked")
"""Which images make the more useful examples."""


def robustness_text(image: Tensor, label: int, eps: float, classes: int, clip: tuple[float, float] = (0.0, 1.0)) -> str:
    """VNN-LIB 1.0 text for `image` (any shape, flattened in row-major order) and radius `eps`, in the image's units."""
    down, up = Context(prec=DIGITS, rounding=ROUND_FLOOR), Context(prec=DIGITS, rounding=ROUND_CEILING)
    exact = Context(prec=200)
    low, high, radius = Decimal(clip[0]), Decimal(clip[1]), Decimal(eps)
    pixels = image.detach().flatten().double().tolist()
    lines = [f"; class {label} keeps the largest of {classes} scores within {eps} (maximum norm) of one image"]
    lines += [f"(declare-const X_{i} Real)" for i in range(len(pixels))]
    lines += [f"(declare-const Y_{k} Real)" for k in range(classes)]
    for i, pixel in enumerate(pixels):
        least = max(low, exact.subtract(Decimal(pixel), radius))
        most = min(high, exact.add(Decimal(pixel), radius))
        lines.append(f"(assert (>= X_{i} {down.plus(least):f}))")
        lines.append(f"(assert (<= X_{i} {up.plus(most):f}))")
    others = " ".join(f"(and (>= Y_{k} Y_{label}))" for k in range(classes) if k != label)
    return "\n".join([*lines, f"(assert (or {others}))", ""])


def write_properties(folder: Path, images: Tensor, labels: Tensor, numbers: list[int], eps: float, classes: int
                     ) -> list[Path]:
    """`folder`/image_<number>.vnnlib for each image (n, ...) with its label (n,); returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"image_{number}.vnnlib" for number in numbers]
    for path, image, label in zip(paths, images, labels.tolist(), strict=True):
        write_text(path, robustness_text(image, label, eps, classes))
    return paths


def write_examples(folder: Path, evaluation: Evaluation, x: Tensor, labels: Tensor, count: int = 3) -> list[Path]:
    """Properties of at most `count` of the images x (n, ...) that `evaluation` is about: verified ones first, then
    those that withstood the attacks, so that there is something to prove; misclassified ones never."""
    order = sorted((k for k, image in enumerate(evaluation.images) if image.status != "misclassified"),
                   key=lambda k: ORDER.index(evaluation.images[k].status))[:count]
    numbers = [evaluation.images[k].index for k in order]
    return write_properties(folder, x[order], labels[order], numbers, evaluation.eps, evaluation.classes)
