"""What a claim is about: the network over exact reals, or every float32 execution of the operators in its file.

`float32` needs a network that computes in float32. Its claim quantifies over float32 inputs; what proves it holds for
all real inputs of the box, and a box without any float32 input is said to be one. The bounds: `verify.bounds.noise`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from verify.bounds.noise import undeclared
from verify.certificate.witness import project_inside
from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import import Network
from verify.options import SEMANTICS
from verify.query import Spec
from verify.result import Result, Verdict


def asked(spec: Spec, semantics: str) -> str:
    """What `auto` means: the types that a VNN-LIB 2.0 property declares, and the reals for every other."""
    if semantics != "auto":
        return semantics
    return "real" if spec.interface is None else spec.interface.semantics


def check_semantics(semantics: str, network: Network) -> None:
    """Raises `InvalidInput` for unknown semantics and for `float32` on a network that computes in float64, and
    `UnsupportedOperator` for `float32` where an operator's accuracy is not declared."""
    if semantics not in SEMANTICS:
        raise InvalidInput(f"semantics can be {' or '.join(SEMANTICS)}, got {semantics!r}")
    if semantics == "float32" and network.double:
        raise InvalidInput(f"{network.source}: semantics float32 is about networks that compute in float32; this one "
                           "computes in float64, for which real would be accepted")
    unknown = undeclared(network.declared) if semantics == "float32" else ()
    if unknown:
        named = ", ".join(f"{node.name!r} ({type(node.op).__name__})" for node in unknown[:3])
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise UnsupportedOperator(f"{network.source}: nothing is declared about the float32 accuracy of {named}{more}; "
                                  "semantics real would be accepted")


def stated(result: Result, spec: Spec, semantics: str) -> Result:
    """The result with its semantics; a proof about float32 inputs says where there are none."""
    result = replace(result, semantics=semantics)
    if semantics == "real" or result.verdict is not Verdict.VERIFIED:
        return result
    hollow = [k for k, case in enumerate(spec.cases)
              if case.box.empty is None and project_inside(case.box.lower, case.box, np.dtype(np.float32)) is None]
    if not hollow:
        return result
    which = "the input box holds" if len(spec.cases) == 1 else f"{len(hollow)} input boxes (first {hollow[0]}) hold"
    note = f"{which} no float32 input, so that no execution is in question; its real inputs are proved"
    return replace(result, detail="; ".join(part for part in (result.detail, note) if part))
