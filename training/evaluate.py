"""How accurate, how robust and how verifiable an exported network is: everything is measured on the ONNX file itself.

Image by image, in this order:

    misclassified   onnxruntime's answer is not the label
    attacked        PGD or Auto-PGD found a point of the ball with another answer, confirmed on onnxruntime
    verified        proved: `verify.verify` said so within its time, or CROWN did
    falsified       `verify.verify` found a counterexample
    undecided       none of these: out of time, or the verifier failed

Attacks see the imported network in float32. CROWN (rigorous, `training.certify`) runs on all images that are classified
correctly. Only those that withstand the attacks go to the complete verifier. Finished work is kept in a journal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from training.attacks import STANDARD, Attack, attacked, margins
from training.certify import PIXELS, Clip, batch_size, crown_batches, relu_nodes
from training.evaluation import Evaluation, Image, Layer
from training.journal import Journal, image_keys, key_of
from training.subject import Subject
from verify import engines
from verify.budget import Budget
from verify.errors import InvalidInput, VerifyError
from verify.graph import Graph
from verify.options import DTYPES
from verify.pipeline import Problem, choose_device, choose_dtype, solve
from verify.properties import robustness

ATTACK_BATCH = 256
Watch = Callable[[str, int, int], None]
"""Told the phase, how many images of it are done, and how many there are."""


def silent(phase: str, done: int, total: int) -> None:
    """Looks away."""


@dataclass(frozen=True)
class Options:
    """What is asked about every image. `eps` and `clip` in the units of the images; `timeout`: seconds of complete
    verification per image, None for CROWN alone; `method`: the engine of `verify.verify`; `intermediate`: CROWN's
    bounds of the hidden layers, `crown` or `ibp`; `bounded`: CROWN looks at the first so many images only, None
    for all (it costs seconds per image on wide convolutions); `seed` of the attacks."""

    eps: float
    clip: Clip = PIXELS
    attacks: tuple[Attack, ...] = STANDARD
    timeout: float | None = 10.0
    method: str = "portfolio"
    intermediate: str = "crown"
    device: str = "auto"
    dtype: str = "auto"
    bounded: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.eps) and self.eps >= 0):
            raise InvalidInput(f"eps must be a finite number, 0 or larger, got {self.eps}")
        if self.timeout is not None and not self.timeout > 0:
            raise InvalidInput(f"timeout must be a positive number of seconds or None, got {self.timeout}")
        if self.intermediate not in ("crown", "ibp"):
            raise InvalidInput(f"intermediate must be crown or ibp, got {self.intermediate!r}")
        if self.dtype not in DTYPES:
            raise InvalidInput(f"dtype must be {', '.join(DTYPES)}, got {self.dtype!r}")
        if self.bounded is not None and self.bounded < 0:
            raise InvalidInput(f"bounded must be a number of images or None, got {self.bounded}")
        if self.method not in engines.names():
            raise InvalidInput(f"unknown method {self.method!r}; there are {', '.join(engines.names())}")


def evaluate(model: str | Path | bytes | Subject, x: Tensor, labels: Tensor, options: Options, *,
             indices: Sequence[int] | None = None, name: str | None = None, journal: str | Path | None = None,
             watch: Watch = silent) -> Evaluation:
    """Evaluates the ONNX file `model` on images x (n, c, h, w) in [0, 1] with labels (n,).

    `indices`: where the images stand in their test part (default 0, 1, ...); `journal`: a file of finished results, so
    that an interrupted evaluation with equal arguments goes on; several networks may share it. Raises `VerifyError`
    when the file cannot be read or does not fit the images.
    """
    subject = model if isinstance(model, Subject) else Subject.load(model, name)
    subject.check_fit(x, labels)
    bench = _Bench(subject, options, Journal(journal), watch, choose_device(options.device),
                   choose_dtype(options.dtype, subject.network.graph))
    indices = range(len(x)) if indices is None else indices
    scores = subject.scores(x)
    right = margins(scores, labels) > 0
    keys = image_keys(x, labels)
    broken = bench.attacked(x, labels, right, keys)
    first = torch.arange(len(x)) < (len(x) if options.bounded is None else options.bounded)
    bounds = bench.crown(x, labels, right & first, keys)
    verdicts = bench.verify(x, labels, right & ~broken, keys)
    images = []
    for k, index in enumerate(indices):
        status = "misclassified" if not right[k] else "attacked" if broken[k] else None
        images.append(_image(index, int(labels[k]), int(scores[k].argmax()), status, bounds.get(k), verdicts.get(k)))
    return Evaluation(
        subject.name, subject.sha256, len(subject.content), subject.parameters, subject.relus, subject.shape,
        subject.classes, options.eps, options.timeout, bench.method, tuple(map(str, options.attacks)), tuple(images),
        _layers(subject.network.graph, bench.graph, list(bounds.values())))


def _image(index: int, label: int, predicted: int, status: str | None, bound: dict | None, verdict: dict | None
           ) -> Image:
    margin = None if bound is None else bound["margin"]
    proved = margin is not None and margin > 0
    if verdict is None:
        return Image(index, label, predicted, status or ("verified" if proved else "undecided"), proved, margin)
    found = verdict["status"]
    if found == "undecided" and proved:
        found = "verified"  # a proof is a proof, whoever found it
    return Image(index, label, predicted, status or found, proved, margin, verdict["seconds"], verdict["domains"],
                 verdict["reason"])


def _layers(declared: Graph, simplified: Graph, bounds: list[dict]) -> tuple[Layer, ...]:
    """Every ReLU of the file counts, those too that simplification found to be constant: they have no unstable neuron.
    """
    places = {node.name: k for k, node in enumerate(relu_nodes(simplified))}
    sizes = {node.name: math.prod(node.shape) for graph in (simplified, declared) for node in relu_nodes(graph)}
    names = [*(node.name for node in relu_nodes(declared)), *places]
    found = []
    for name in dict.fromkeys(names):
        means = [math.fsum(bound[what][places[name]] for bound in bounds) / len(bounds)
                 if bounds and name in places else 0.0 for what in ("unstable", "area")]
        found.append(Layer(name, sizes[name], *means))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Bench:
    """One subject under one set of options; each method answers per image, from the journal where it can."""

    subject: Subject
    options: Options
    journal: Journal
    watch: Watch
    device: str
    dtype: torch.dtype

    @cached_property
    def graph(self) -> Graph:
        return self.subject.graph.to(self.device, self.dtype)

    @property
    def method(self) -> str:
        layers = "" if self.options.intermediate == "crown" else ", intervals for the hidden layers"
        return f"CROWN, {str(self.dtype).removeprefix('torch.')}{layers}"

    def _key(self, kind: str, image: str, *more: object) -> str:
        return key_of([kind, self.subject.sha256[:24], image, self.options.eps, *self.options.clip, *more])

    def attacked(self, x: Tensor, labels: Tensor, right: Tensor, keys: list[str]) -> Tensor:
        """Which of the `right` images have a confirmed adversarial point, (n,) bool."""
        graph = self.subject.graph.to(self.device, torch.float32)
        how = (";".join(map(str, self.options.attacks)), self.options.seed)
        chosen = right.nonzero().squeeze(1)
        found = torch.zeros(len(x), dtype=torch.bool)
        for start in range(0, len(chosen), ATTACK_BATCH):
            self.watch("attack", start, len(chosen))
            part = chosen[start : start + ATTACK_BATCH]
            names = [self._key("attack", keys[k], *how) for k in part.tolist()]
            known = [self.journal.get(name) for name in names]
            if None in known:
                points = attacked(lambda z: graph.evaluate(z.reshape(-1, *graph.input.shape)).flatten(1),
                                  x[part].to(self.device), labels[part].to(self.device), self.options.eps,
                                  self.options.attacks, clip=self.options.clip, seed=self.options.seed).cpu()
                known = (margins(self.subject.scores(points), labels[part]) <= 0).tolist()
                for name, value in zip(names, known, strict=True):
                    self.journal.put(name, value)
            found[part] = torch.tensor(known)
        return found

    def crown(self, x: Tensor, labels: Tensor, right: Tensor, keys: list[str]) -> dict[int, dict]:
        """For every `right` image its margin and, per ReLU layer in order, unstable neurons and area."""
        how = (self.options.intermediate, self.dtype)
        names = {k: self._key("crown", keys[k], *how) for k in right.nonzero().squeeze(1).tolist()}
        found = {k: value for k, name in names.items() if (value := self.journal.get(name)) is not None}
        left = [k for k in names if k not in found]
        size = batch_size(self.graph)
        parts = crown_batches(self.graph, x[left], labels[left], self.options.eps, clip=self.options.clip, batch=size,
                              intermediate=self.options.intermediate)
        for start in range(0, len(left), size):
            self.watch("CROWN", len(found), len(names))
            bounded = next(parts)
            for row, k in enumerate(left[start : start + size]):
                margin = float(bounded.margins[row])
                found[k] = {"margin": margin if math.isfinite(margin) else None,
                            "unstable": [int(counts[row]) for counts in bounded.unstable.values()],
                            "area": [float(areas[row]) for areas in bounded.area.values()]}
                self.journal.put(names[k], found[k])
        return found

    def verify(self, x: Tensor, labels: Tensor, wanted: Tensor, keys: list[str]) -> dict[int, dict]:
        """The complete verifier's answers on the `wanted` images; none without a time limit."""
        found: dict[int, dict] = {}
        if self.options.timeout is None:
            return found
        how = (self.options.timeout, self.options.method, self.options.dtype, self.device, self.options.seed)
        chosen = wanted.nonzero().squeeze(1).tolist()
        for done, k in enumerate(chosen):
            self.watch("verify", done, len(chosen))
            name = self._key("verify", keys[k], *how)
            found[k] = self.journal.get(name)
            if found[k] is None:
                found[k] = self._decide(x[k], int(labels[k]))
                self.journal.put(name, found[k])
        return found

    def _decide(self, x: Tensor, label: int) -> dict:
        options = self.options
        budget = Budget.seconds(options.timeout)
        try:
            spec = robustness(x, options.eps, label, self.subject.classes, options.clip)
            result = solve(Problem(self.subject.network, spec), options.method, budget, self.device, options.dtype,
                           options.seed)
        except (VerifyError, RuntimeError, MemoryError) as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            return {"status": "undecided", "seconds": budget.elapsed, "domains": 0, "reason": reason}
        status = {"verified": "verified", "falsified": "falsified"}.get(result.verdict.value, "undecided")
        reason = "" if result.reason is None else result.reason.value
        return {"status": status, "seconds": budget.elapsed, "domains": result.stats.domains, "reason": reason}
