"""Before, after and the controls, on the same images under the same budget: what an intervention gained and cost.

Differences are judged in pairs: image by image against the network before, with McNemar's exact test. An intervention
that makes networks worse can look like one that makes them verifiable; verified accuracy is therefore also given as a
share of the images that withstand the attacks. The controls say what would have happened anyway: longer training, the
same amount of removal at random, a regulariser that needs no removal, and training with bounds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from types import MappingProxyType
from typing import Any

from training.data.dataset import Data, digest_of
from training.evaluate import Options, evaluate
from training.evaluation import Evaluation
from training.statistics import mcnemar, wilson
from training.subject import Subject
from verify.errors import InvalidInput, ShapeMismatch

CONTROLS = MappingProxyType({
    "more-epochs": "the network before, trained as much longer as the intervention trained",
    "random-mask": "as much removed or grafted, chosen at random",
    "rs": "the network before, trained with the RS regulariser instead",
    "ibp": "the same architecture, trained with interval bounds",
})
"""Controls that every table has a row for, and what they are."""
CONTROL = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)=(?P<file>.+)")
METRICS = ("clean", "robust", "crown", "verified", "falsified", "undecided")
Watch = Callable[[str, str, int, int], None]
"""Told the network, the phase, how many images of it are done, and how many there are."""


def silent(network: str, phase: str, done: int, total: int) -> None:
    """Looks away."""


@dataclass(frozen=True)
class Pairing:
    """Against the network before on the same images: `wins` only this one has, `losses` only that one; exact p."""

    wins: int
    losses: int

    @property
    def p(self) -> float:
        return mcnemar(self.wins, self.losses)


@dataclass(frozen=True)
class Entry:
    """One row: `role` is before, after or control; `evaluation` None for a control that was not given."""

    name: str
    role: str
    file: str = ""
    evaluation: Evaluation | None = None

    @property
    def seconds(self) -> tuple[float, float]:
        """Mean and median seconds of complete verification over the images it was asked about; NaN without any."""
        times = [image.seconds for image in self.evaluation.asked] if self.evaluation else []
        return (fmean(times), median(times)) if times else (math.nan, math.nan)

    @property
    def domains(self) -> float:
        """Mean subproblems per image that the complete verifier was asked about."""
        counts = [image.domains for image in self.evaluation.asked] if self.evaluation else []
        return fmean(counts) if counts else math.nan

    @property
    def verified_of_robust(self) -> tuple[float, float, float]:
        """Verified images as a share of those that withstood the attacks, with Wilson's interval."""
        found, total = self.evaluation.count("verified"), self.evaluation.count("robust")
        return (found / total if total else math.nan, *wilson(min(found, total), total))


@dataclass(frozen=True)
class Comparison:
    """All rows, the network before first, and what they were measured on. `digest`: sha256 of the images and labels."""

    data: str
    digest: str
    indices: tuple[int, ...]
    options: Options
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    @property
    def before(self) -> Entry:
        return self.entries[0]

    @property
    def measured(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.evaluation is not None)

    def paired(self, entry: Entry, what: str = "verified") -> Pairing:
        """`entry` against the network before, by the flag `what`."""
        pairs = list(zip(self.before.evaluation.flags(what), entry.evaluation.flags(what), strict=True))
        return Pairing(sum(b and not a for a, b in pairs), sum(a and not b for a, b in pairs))

    def common_seconds(self, entry: Entry) -> tuple[float, float, int]:
        """Mean seconds of the network before and of `entry` over the images that the verifier was asked about for
        both, and how many these are: times that no change of accuracy can flatter."""
        mine = {image.index: image.seconds for image in entry.evaluation.asked}
        both = [(image.seconds, mine[image.index]) for image in self.before.evaluation.asked if image.index in mine]
        if not both:
            return math.nan, math.nan, 0
        return fmean(a for a, _ in both), fmean(b for _, b in both), len(both)

    def row(self, entry: Entry) -> dict[str, Any]:
        """Everything about one network as a flat dictionary (the columns of the CSV); shares lie in [0, 1]."""
        evaluation = entry.evaluation
        found = {"name": entry.name, "role": entry.role, "file": entry.file, "images": len(self.indices)}
        if evaluation is None:
            return found | {"sha256": "not measured"}
        for what in METRICS:
            low, high = evaluation.interval(what)
            found |= {what: evaluation.share(what), f"{what}_low": low, f"{what}_high": high}
        share, low, high = entry.verified_of_robust
        found |= {"verified_of_robust": share, "verified_of_robust_low": low, "verified_of_robust_high": high}
        for what in ("verified", "clean"):
            pairing = self.paired(entry, what)
            found |= {f"{what}_wins": pairing.wins, f"{what}_losses": pairing.losses, f"{what}_p": pairing.p}
        mean, middle = entry.seconds
        there, here, count = self.common_seconds(entry)
        return found | {
            "unstable": evaluation.unstable, "relaxation_area": evaluation.area, "bounds": evaluation.bounds,
            "asked": len(evaluation.asked), "mean_seconds": mean, "median_seconds": middle,
            "par2_seconds": evaluation.par2, "domains": entry.domains, "common_images": count,
            "common_seconds_before": there, "common_seconds": here, "parameters": evaluation.parameters,
            "relus": evaluation.relus, "file_bytes": evaluation.file_bytes, "sha256": evaluation.sha256,
        }


def parse_controls(texts: Sequence[str]) -> dict[str, Path]:
    """NAME=FILE of every control. Raises `InvalidInput`."""
    found: dict[str, Path] = {}
    for text in texts:
        match = CONTROL.fullmatch(text)
        if match is None:
            raise InvalidInput(f"--control takes NAME=FILE with a name such as {', '.join(CONTROLS)}, got {text!r}")
        if match["name"] in found:
            raise InvalidInput(f"--control {match['name']} is given twice")
        found[match["name"]] = Path(match["file"])
    return found


def network_file(path: Path) -> Path:
    """The file itself, or the one .onnx file of a folder. Raises `InvalidInput`."""
    if path.is_dir():
        files = sorted(path.glob("*.onnx"))
        if len(files) != 1:
            raise InvalidInput(f"{path}: holds {len(files)} .onnx files; name one file")
        return files[0]
    if not path.exists():
        raise InvalidInput(f"network file not found: {path}")
    return path


def compare(before: Path, after: Sequence[Path], controls: Mapping[str, Path], data: Data, options: Options, *,
            journal: Path | None = None, watch: Watch = silent, notes: Sequence[str] = ()) -> Comparison:
    """Evaluates all networks (ONNX files, or folders that hold one) on the test images of `data`.

    Every file is read, and checked against the images, before anything is measured. Raises `VerifyError`.
    """
    named = [("before", before), *(("after", path) for path in after)]
    files = [network_file(path) for _, path in named]
    names = _names(files, (*CONTROLS, *controls))
    jobs = [(name, role, file) for name, (role, _), file in zip(names, named, files, strict=True)]
    jobs += [(name, "control", network_file(path)) for name, path in controls.items()]
    x, y, indices = data.x_test, data.y_test, data.test_index or tuple(range(len(data.x_test)))
    if not len(x):
        raise InvalidInput(f"{data.name}: there are no test images")
    subjects = [Subject.load(file, name) for name, _, file in jobs]
    for subject in subjects:
        subject.check_fit(x, y)
        if subject.classes != data.classes:
            raise ShapeMismatch(f"{subject.name}: tells {subject.classes} classes apart, {data.name} has "
                                f"{data.classes}")
    entries = []
    for (name, role, file), subject in zip(jobs, subjects, strict=True):
        found = evaluate(subject, x, y, options, indices=indices, journal=journal,
                         watch=lambda phase, done, total, name=name: watch(name, phase, done, total))
        entries.append(Entry(name, role, str(file), found))
    entries += [Entry(name, "control") for name in CONTROLS if name not in controls]
    return Comparison(data.name, digest_of(x, y), indices, options, tuple(entries), tuple(notes))


def _names(files: Sequence[Path], taken: Iterable[str]) -> list[str]:
    """Short names that differ from each other and from `taken`: file names, with their folders where those do not
    suffice, else numbered."""
    names = [file.stem for file in files]
    if len(set(names)) < len(names) or set(names) & set(taken):
        names = [f"{file.resolve().parent.name}/{file.stem}" for file in files]
    return [name if names.count(name) == 1 else f"{name} ({names[: k + 1].count(name)})"
            for k, name in enumerate(names)]
