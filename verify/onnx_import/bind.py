"""Model files take the places of the networks that a property declares.

Checked: every declared network has its model, and no other is given; inputs, outputs and hidden values agree in number,
order, shape and element type (with `real`, any type does); `isomorphic-to` holds. What comes out is one
`Network` over the inputs that the property leaves free.
"""

from __future__ import annotations

from collections.abc import Mapping

from verify.errors import InvalidInput, ShapeMismatch
from verify.interface import HIDDEN, INPUT, OUTPUT, REAL, Declaration, Interface, Tensor
from verify.onnx_import.expose import element_types, expose
from verify.onnx_import.isomorphism import check_isomorphic
from verify.onnx_import.join import join
from verify.onnx_import.model import Network, from_bytes
from verify.onnx_import.part import Port
from verify.query import Spec


def bind(interface: Interface, models: Mapping[str, Network]) -> Network:
    """The joint network of a property. `models`: by the names of the declared networks that are not `equal-to` another
    one. Raises `InvalidInput` naming the declaration."""
    _check_names(interface, models)
    networks = [(declared.name, _fitted(declared, models[declared.model])) for declared in interface.networks]
    for declared in interface.networks:
        if declared.isomorphic_to is not None:
            pair = (declared.name, declared.isomorphic_to)
            check_isomorphic(*(models[name].onnx for name in pair), tuple(f"{n} ({models[n].source})" for n in pair))
    if len(networks) == 1 and not interface.shared:
        return networks[0][1]
    return join(networks, interface.wiring)


def bound(models: Network | Mapping[str, Network], spec: Spec) -> Network:
    """The network of a property: the one model there is, or those that the property names. Raises `InvalidInput`."""
    if spec.interface is None:
        if isinstance(models, Network):
            return models
        if len(models) != 1:
            raise InvalidInput(f"{spec.source} names no networks and takes one model, {len(models)} are given")
        return next(iter(models.values()))
    return bind(spec.interface, {only_model(spec.interface): models} if isinstance(models, Network) else models)


def only_model(interface: Interface) -> str:
    """The declared network that takes the one model there is. Raises `InvalidInput` when several are needed."""
    names = [declared.name for declared in interface.networks if declared.equal_to is None]
    if len(names) != 1:
        raise InvalidInput(f"the property declares {len(names)} networks with models of their own "
                           f"({', '.join(names)}); name a file for each, as in --network NAME=FILE")
    return names[0]


def _check_names(interface: Interface, models: Mapping[str, Network]) -> None:
    declared = {network.name: network for network in interface.networks}
    for name in models:
        if name not in declared:
            raise InvalidInput(f"a model is given for {name!r}, which is not declared; declared: {', '.join(declared)}")
        if declared[name].equal_to is not None:
            raise InvalidInput(f"{declared[name].place}: {name} is equal-to {declared[name].equal_to} and takes no "
                               "model of its own")
    for network in interface.networks:
        if network.equal_to is None and network.name not in models:
            raise InvalidInput(f"{network.place}: no model is given for the network {network.name}; expected "
                               f"--network {network.name}=FILE")


def _fitted(declared: Declaration, network: Network) -> Network:
    """The model with the hidden values that the declaration names, checked against it."""
    hidden = declared.of(HIDDEN)
    if hidden:
        names = [tensor.onnx for tensor in hidden]
        network = from_bytes(expose(network.onnx, names, network.source), network.source)
    types = element_types(network.onnx)
    outputs = network.outputs[: len(network.outputs) - len(hidden)]
    for role, ports in ((INPUT, network.inputs), (OUTPUT, outputs), (HIDDEN, network.outputs[len(outputs):])):
        tensors = declared.of(role)
        if len(tensors) != len(ports):
            raise ShapeMismatch(f"{declared.place}: {declared.name} declares {len(tensors)} {role}s; {network.source} "
                                f"has {len(ports)}: {', '.join(port.name for port in ports)}")
        for tensor, port in zip(tensors, ports, strict=True):
            _check_tensor(tensor, port, types[port.name], network.source)
    return network


def _check_tensor(tensor: Tensor, port: Port, dtype: str, source: str) -> None:
    if tensor.shape != port.shape:
        raise ShapeMismatch(f"{tensor.place}: {tensor.name} is declared with shape {list(tensor.shape)}; {port.name!r} "
                            f"of {source} has {list(port.shape)}")
    if tensor.dtype not in (REAL, dtype):
        raise InvalidInput(f"{tensor.place}: {tensor.name} is declared as {tensor.dtype}; {port.name!r} of {source} "
                           f"has type {dtype} (real, for all variables, would be accepted with any)")
