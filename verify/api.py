"""The library call: a model and a property in, a `Result` out. The command line and `verify.verify` take the same way.

    import verify
    result = verify.verify("net.onnx", "property.vnnlib", timeout=60)
    result = verify.verify(module, verify.robustness(x, 0.1, label=3, outputs=10))
    result = verify.verify({"f": "a.onnx", "g": "b.onnx"}, "query.vnnlib")
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from verify.budget import Budget
from verify.certified import Sources, solve_certified
from verify.errors import InvalidInput
from verify.interface import INPUT
from verify.onnx_import import Network, from_bytes, load_network
from verify.onnx_import.bind import bound, only_model
from verify.onnx_import.module import from_module
from verify.pipeline import Problem, solve
from verify.query import Spec
from verify.result import Result
from verify.semantics import asked
from verify.vnnlib import read_spec

Model = str | Path | bytes | nn.Module

def verify(model: Model | Mapping[str, Model], spec: Spec | str | Path, *, method: str = "portfolio",
           timeout: float | None = None, device: str = "auto", dtype: str = "auto", seed: int = 0,
           semantics: str = "auto", proof: str | Path | None = None, example_input: Tensor | None = None) -> Result:
    """Decides whether `model` has the property `spec`.

    `model`: an ONNX file, a serialised ONNX model, or a module (evaluated in eval mode; `example_input` with its batch
    axis of 1 gives its input shape; left out, it is the declared one, or (1, i) for i inputs); where the property
    declares several networks, these by name. `spec`: a `Spec` or a VNN-LIB file.
    `method`: an engine's name; `timeout`: seconds from now, loading included, None for no limit; `device`: `auto`,
    `cpu` or `cuda`; `dtype` of the bounds: `auto`, `float32` or `float64`; `seed` of the attack; `semantics`: `real`,
    or `float32` for a claim about every float32 execution, or `auto` for what a VNN-LIB 2.0 property declares (`real`
    for others); `proof`: a file for the proof of a `verified` result, which
    `verify check` accepts (without it the result is `unknown`); network and property must then be files or bytes.

    A `verified` result is a proof under the semantics, a `falsified` one carries a point replayed on onnxruntime, and
    `unknown` says why. Raises a `VerifyError` when an argument cannot be read or is not supported.
    """
    if timeout is not None and not timeout > 0:
        raise InvalidInput(f"timeout must be a positive number of seconds or None, got {timeout!r}")
    if dtype not in ("auto", "float32", "float64"):
        raise InvalidInput(f"dtype must be auto, float32 or float64, got {dtype!r}")
    budget = Budget.seconds(math.inf if timeout is None else timeout)
    sources = None if proof is None else _sources(model, spec, proof)
    spec = spec if isinstance(spec, Spec) else _spec(spec)
    problem = Problem(_bound(model, spec, example_input), spec, asked(spec, semantics))
    if sources is None:
        return solve(problem, method, budget, device, dtype, seed)
    return solve_certified(problem, sources, method, budget, device, dtype, seed)


def _sources(model: object, spec: object, proof: str | Path) -> Sources:
    if not isinstance(model, (str, Path, bytes)) or not isinstance(spec, (str, Path)):
        raise InvalidInput("a proof is about files: the network must be an ONNX file or its bytes, the property a "
                           ".vnnlib file")
    return Sources.of(model, spec, proof)


def _spec(spec: str | Path) -> Spec:
    if not isinstance(spec, (str, Path)):
        raise InvalidInput(f"a property is a Spec or the path of a .vnnlib file, got {type(spec).__name__}")
    return read_spec(spec)


def _bound(model: Model | Mapping[str, Model], spec: Spec, example_input: Tensor | None) -> Network:
    """The network of the property."""
    declared = {} if spec.interface is None else {network.name: network for network in spec.interface.networks}

    def load(name: str, single: Model) -> Network:
        shape = declared[name].of(INPUT)[0].shape if name in declared else (1, spec.inputs)
        return _network(single, shape, example_input)

    if isinstance(model, Mapping):
        return bound({name: load(name, single) for name, single in model.items()}, spec)
    return bound(load("" if spec.interface is None else only_model(spec.interface), model), spec)


def _network(model: Model, shape: tuple[int, ...], example_input: Tensor | None) -> Network:
    if isinstance(model, nn.Module):
        return from_module(model, torch.zeros(shape) if example_input is None else example_input)
    if example_input is not None:
        raise InvalidInput("example_input belongs to modules; an ONNX model declares its own input shape")
    if isinstance(model, bytes):
        return from_bytes(model)
    if isinstance(model, (str, Path)):
        return load_network(model)
    raise InvalidInput(f"a model is a path, bytes or a torch.nn.Module, got {type(model).__name__}")
