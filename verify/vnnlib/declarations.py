"""Rules that the declared networks of a property obey, by the VNN-LIB 2.0 standard.

Names are unique; types are floating-point ones or `real`, and `real` is used throughout or not at all; `equal-to` and
`isomorphic-to` name an earlier network without such a statement, with the same declarations (isomorphic ones may differ
in their types).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import NoReturn

from verify.errors import InvalidInput, UnsupportedSpec, VerifyError
from verify.interface import HIDDEN, INPUT, OUTPUT, REAL, Declaration, Tensor

FLOATS = (REAL, "float16", "float32", "float64", "bfloat16")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
SPELLINGS = MappingProxyType({"Real": REAL})
"""The standard's own examples write the type of exact numbers both ways."""


def _fail(place: str, message: str, error: type[VerifyError] = InvalidInput) -> NoReturn:
    raise error(f"{place}: {message}")


def checked(networks: Iterable[Declaration]) -> tuple[Declaration, ...]:
    """The networks with their types spelled in one way, checked against each other."""
    found: dict[str, Declaration] = {}
    variables: dict[str, Tensor] = {}
    for network in networks:
        if network.name in found:
            _fail(network.place, f"network {network.name} is declared twice")
        typed = tuple(replace(t, dtype=SPELLINGS.get(t.dtype, t.dtype)) for t in network.tensors)
        network = replace(network, tensors=typed)
        for tensor in typed:
            if tensor.name in variables:
                _fail(tensor.place, f"{tensor.name} is declared twice; names of variables are unique")
            variables[tensor.name] = tensor
            _check_type(tensor)
        for keyword, name in (("equal-to", network.equal_to), ("isomorphic-to", network.isomorphic_to)):
            if name is not None:
                _check_same(network, keyword, name, found)
        found[network.name] = network
    odd = next((t for t in variables.values() if (t.dtype == REAL) != (next(iter(variables.values())).dtype == REAL)),
               None)
    if odd is not None:
        _fail(odd.place, f"{odd.name} has type {odd.dtype}; a query uses real for all variables or for none")
    return tuple(found.values())


def _check_type(tensor: Tensor) -> None:
    if tensor.dtype in INTEGERS:
        _fail(tensor.place, f"{tensor.name} has type {tensor.dtype}; floating-point types and real are supported",
              UnsupportedSpec)
    if tensor.dtype not in FLOATS:
        _fail(tensor.place, f"{tensor.name} has the unknown type {tensor.dtype!r}; accepted: {', '.join(FLOATS)}",
              UnsupportedSpec)


def _check_same(network: Declaration, keyword: str, name: str, before: dict[str, Declaration]) -> None:
    """The rules of `equal-to` and `isomorphic-to`."""
    if name not in before:
        _fail(network.place, f"network {network.name} is {keyword} {name}, which is not declared before it")
    other = before[name]
    if other.equal_to or other.isomorphic_to:
        _fail(network.place, f"network {network.name} is {keyword} {name}, which is itself equal or isomorphic to a "
              "network; name that one")
    for role in (INPUT, OUTPUT):
        ours, theirs = network.of(role), other.of(role)
        if len(ours) != len(theirs):
            _fail(network.place, f"network {network.name} is {keyword} {name} but declares {len(ours)} {role}s; "
                  f"{name} declares {len(theirs)}")
        for mine, its in zip(ours, theirs, strict=True):
            _check_alike(mine, its, keyword)
    by_value = {tensor.onnx: tensor for tensor in other.of(HIDDEN)}
    for tensor in network.of(HIDDEN):
        if tensor.onnx in by_value and keyword == "equal-to":
            _check_alike(tensor, by_value[tensor.onnx], keyword)


def _check_alike(mine: Tensor, its: Tensor, keyword: str) -> None:
    if mine.shape != its.shape or (keyword == "equal-to" and mine.dtype != its.dtype):
        _fail(mine.place, f"{mine} differs from {its} in a network that is {keyword} the other")
