"""Counterexample check: replay a candidate point on onnxruntime and decide it in exact arithmetic.

A candidate x is first moved to the nearest point of the network's own float type inside the declared box (a decimal
limit such as 0.1 has no float32 equal; the nearest float32 may lie outside). It is a witness when

    (x, y = onnxruntime(x))  is in the unsafe set, decided on rationals: no tolerance anywhere.

With several networks each one is run by itself on its inputs, and what they give is one y.

The network is run twice, as the file says and with onnxruntime's default rewrites (the way judges run it): the two may
round differently, and a point that only one of them shows to be unsafe is not a witness.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from verify.errors import InvalidInput, ShapeMismatch, UnsupportedOperator
from verify.onnx_import.part import Part, Port, Wiring, feeds, single_entries
from verify.query import Case, Disjunct, InputBox, Numbers, Spec
from verify.result import Witness

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class Replayer:
    """Checks candidates for one `Spec`; the sessions start with the first candidate.

    models: the bytes of an uncompressed .onnx file, or its path (needed when weights lie in external files); or the
    parts of a network, with the `wiring` of their inputs.
    """

    def __init__(self, models: Models, spec: Spec, wiring: Wiring = None) -> None:
        self.models = str(models) if isinstance(models, Path) else models
        self.spec, self.wiring = spec, wiring

    def check(self, x: np.ndarray | Tensor, case: Case | None = None) -> Witness | None:
        """The witness next to candidate `x` (the spec's input count, any shape), or None if it is none.

        `case` names the box that x was found in; without it, the nearest of the spec's boxes is taken.
        """
        return self._check(x, case, project_inside)

    def check_nearest(self, x: np.ndarray | Tensor, case: Case) -> Witness | None:
        """As `check`, but an input whose limits hold no number of the network's type (a decimal constant, mostly) takes
        the nearest one. The witness says how far it lies `outside`; whoever accepts it must know that a real point of
        the box is unsafe as well."""
        return self._check(x, case, project_nearest)

    def _check(self, x: np.ndarray | Tensor, case: Case | None, project: Projection) -> Witness | None:
        candidate = self._flat(x)
        if np.isnan(candidate).any():
            return None
        for near in [case] if case is not None else nearest_cases(candidate, self.spec):
            inside = self.network.typed(project, candidate, near.box)
            if inside is not None and (witness := self._replay(inside, case)) is not None:
                return witness
        return None

    def output(self, x: np.ndarray | Tensor) -> np.ndarray:
        """The network's outputs at x, flattened; x is cast to the types of the inputs, nothing else."""
        return self.network.run(self._flat(x))

    @cached_property
    def network(self) -> Network:
        """The network exactly as the file says."""
        return Network(self.models, self.spec, optimised=False, wiring=self.wiring)

    @cached_property
    def optimised(self) -> Network:
        """The network after onnxruntime's default rewrites."""
        return Network(self.models, self.spec, optimised=True, wiring=self.wiring)

    def _flat(self, x: np.ndarray | Tensor) -> np.ndarray:
        flat = np.asarray(x.detach().cpu().numpy() if isinstance(x, Tensor) else x).reshape(-1)
        if flat.size != self.spec.inputs:
            raise ShapeMismatch(f"the point has {flat.size} entries, {self.spec.source} declares "
                                f"{self.spec.inputs} inputs")
        return flat

    def _replay(self, x: np.ndarray, case: Case | None) -> Witness | None:
        y = self.network.run(x)
        if not self._unsafe(x, y, case) or not self._unsafe(x, other := self.optimised.run(x), case):
            return None
        outside = 0.0 if case is None else float(
            np.max(np.maximum(case.box.inner_lower - x, x - case.box.inner_upper), initial=0.0))
        return Witness(x, y, violation(self.spec, x, y, case), outside, other)

    def _unsafe(self, x: np.ndarray, y: np.ndarray, case: Case | None) -> bool:
        """Membership of (x, y); with a `case` its box is the projection's business, for x may be a nearest point."""
        if not np.isfinite(y).all():
            return False
        if case is None:
            return self.spec.unsafe(x, y)
        whole = self.spec.extended(x, y)
        return any(all(h.violated(x, whole) for h in disjunct) for disjunct in case.disjuncts)


def replay(models: Models, spec: Spec, x: np.ndarray | Tensor) -> Witness | None:
    """One candidate on one network; see `Replayer.check`."""
    return Replayer(models, spec).check(x)


class Network:
    """onnxruntime sessions on one CPU thread, one for each model, for flat inputs and outputs of a `Spec`'s sizes."""

    def __init__(self, models: Models, spec: Spec, optimised: bool, wiring: Wiring = None) -> None:
        self.spec, self.wiring = spec, wiring
        sources = [models] if isinstance(models, (bytes, str)) else [part.onnx for part in models]
        self.sessions = [_session(source, optimised) for source in sources]
        self.parts = [_part(self.sessions[0])] if isinstance(models, (bytes, str)) else list(models)
        self.single = single_entries(self.parts, wiring)
        if self.single.size != spec.inputs:
            shapes = ", ".join(str(list(port.shape)) for part in self.parts for port in part.inputs)
            raise ShapeMismatch(f"{spec.source} declares {spec.inputs} inputs (X), the network takes "
                                f"{self.single.size} (shape {shapes})")

    @property
    def dtype(self) -> np.dtype:
        """The narrowest type that holds every input."""
        return np.dtype(np.float32 if self.single.all() else np.float64)

    def typed(self, project: Projection, x: np.ndarray, box: InputBox) -> np.ndarray | None:
        """`project` with every entry in the type of the inputs that read it."""
        if self.single.all() or not self.single.any():
            return project(x, box, self.dtype)
        found = np.empty(x.size)
        for mask, dtype in ((self.single, np.float32), (~self.single, np.float64)):
            part = project(x[mask], entries(box, mask), np.dtype(dtype))
            if part is None:
                return None
            found[mask] = part
        return found

    def run(self, x: np.ndarray) -> np.ndarray:
        """y (o,) at x (i,): all outputs of all models, in their own type if they have one, else in float64."""
        found = []
        for session, part, fed in zip(self.sessions, self.parts, feeds(self.parts, x, self.wiring), strict=True):
            try:
                found += session.run([port.name for port in part.outputs], fed)
            except _runtime_errors() as error:
                raise InvalidInput(f"onnxruntime cannot run the network: {_first_line(error)}") from error
        y = np.concatenate([np.asarray(value).reshape(-1) for value in found])
        if y.size != self.spec.outputs:
            raise ShapeMismatch(f"{self.spec.source} declares {self.spec.outputs} outputs (Y), the network returns "
                                f"{y.size}")
        return y


def _part(session: InferenceSession) -> Part:
    """What a session says about its model."""
    weights = {value.name for value in session.get_overridable_initializers()}
    inputs = [value for value in session.get_inputs() if value.name not in weights]
    for value in inputs:
        if value.type not in ("tensor(float)", "tensor(double)"):
            raise UnsupportedOperator(f"input {value.name!r} has type {value.type}; expected tensor(float) or "
                                      "tensor(double)")
    # A symbolic or unknown dimension (None, a name, or a number below 1) is the batch axis: one point at a time.
    ports, results = (
        tuple(Port(value.name, tuple(d if isinstance(d, int) and d > 0 else 1 for d in value.shape),
                   value.type == "tensor(double)") for value in values)
        for values in (inputs, session.get_outputs())
    )
    return Part("", b"", ports, results)


def _session(onnx: bytes | str, optimised: bool) -> InferenceSession:
    import onnxruntime  # here, because it costs start-up time that a proof does not need

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except _runtime_errors() as error:
        raise InvalidInput(f"onnxruntime cannot load the network: {_first_line(error)}") from error


def _runtime_errors() -> tuple[type[Exception], ...]:
    """onnxruntime's error classes; they have no common base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NoModel", "NotImplemented",
             "RuntimeException", "EPFail")
    return tuple(getattr(state, name) for name in names)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def project_inside(x: np.ndarray, box: InputBox, dtype: np.dtype) -> np.ndarray | None:
    """The point of type `dtype` in the declared box that is nearest to x (i,) per entry; None if the box has none."""
    with np.errstate(over="ignore"):
        lower, upper = box.inner_lower.astype(dtype), box.inner_upper.astype(dtype)
        rounded = x.astype(dtype)
    # astype rounds to nearest, possibly out of the box; the comparison in float64 is exact.
    lower = np.where(lower.astype(np.float64) < box.inner_lower, np.nextafter(lower, dtype.type(np.inf)), lower)
    upper = np.where(upper.astype(np.float64) > box.inner_upper, np.nextafter(upper, dtype.type(-np.inf)), upper)
    return None if (lower > upper).any() else np.clip(rounded, lower, upper)


def project_nearest(x: np.ndarray, box: InputBox, dtype: np.dtype) -> np.ndarray:
    """`project_inside`, except that entries whose limits hold no number of type `dtype` take the nearest one."""
    middle = box.lower + (box.upper - box.lower) / 2
    with np.errstate(over="ignore"):
        holds = project_inside(x, box, dtype)
        if holds is not None:
            return holds
        single = [project_inside(x[k : k + 1], entries(box, slice(k, k + 1)), dtype) for k in range(x.size)]
        return np.array([m if s is None else s[0] for m, s in zip(middle.astype(dtype), single, strict=True)], dtype)


def entries(box: InputBox, which: slice | np.ndarray) -> InputBox:
    """The box of some of the inputs."""
    return InputBox(box.lower[which], box.upper[which], box.inner_lower[which], box.inner_upper[which])


Models = bytes | str | Path | Sequence[Part]
Projection = Callable[[np.ndarray, InputBox, np.dtype], np.ndarray | None]


def nearest_cases(x: np.ndarray, spec: Spec) -> list[Case]:
    """The cases whose boxes are at the smallest l-infinity distance from x; several when x lies in more than one."""
    distances = [float(np.max(np.maximum(case.box.lower - x, x - case.box.upper), initial=0.0)) for case in spec.cases]
    least = min(distances, default=0.0)
    return [case for case, distance in zip(spec.cases, distances, strict=True) if distance == least]


def slack(disjunct: Disjunct, x: Numbers, y: Numbers) -> float:
    """min over the rows of -h at (x, y), inf without rows: not negative where all of them hold. y: `Spec.extended`."""
    return min((_float(-h.value(x, y)) for h in disjunct), default=math.inf)


def violation(spec: Spec, x: np.ndarray, y: np.ndarray, case: Case | None = None) -> float:
    """The largest `slack` of the disjuncts on whose box x lies (of `case`, when it is given); -inf without one."""
    cases = (case,) if case is not None else tuple(
        c for c in spec.cases if bool(np.all((c.box.inner_lower <= x) & (x <= c.box.inner_upper))))
    whole = spec.extended(x, y)
    return max((slack(disjunct, x, whole) for c in cases for disjunct in c.disjuncts), default=-math.inf)


def _float(value: Fraction) -> float:
    """The nearest float; infinite beyond float64."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def witness_text(witness: Witness) -> str:
    """VNN-COMP text form; as many digits as it takes to read the same floats back (9 for float32, 17 for float64)."""
    entries = [f"({name}_{k} {_digits(value)})"
               for name, values in (("X", witness.x), ("Y", witness.y)) for k, value in enumerate(values)]
    return "(" + "\n ".join(entries) + ")\n"


def _digits(value: np.floating) -> str:
    return f"{value:.17g}" if value.dtype == np.float64 else f"{value:.9g}"


def write_witness(path: str | Path, witness: Witness) -> None:
    """Writes `witness_text`."""
    write_text(path, witness_text(witness))


def write_text(path: str | Path, text: str) -> None:
    """Writes a witness so that the file is there completely or not at all."""
    target = Path(path)
    if target.exists() and not target.is_file():
        raise InvalidInput(f"{path}: cannot write the witness: not a regular file")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="ascii")
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InvalidInput(f"{path}: cannot write the witness: {error.strerror or error}") from error
