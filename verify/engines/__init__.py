"""The engines by name. A third party adds one with an entry point in the group `verify.engines`.

Engine modules are imported when they are asked for: `verify methods` and `verify --help` need none of them.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING

from verify.errors import BrokenInvariant, InvalidInput

if TYPE_CHECKING:
    from verify.engines.base import Settings, Verifier

BUILT_IN = MappingProxyType({
    "portfolio": "verify.pipeline:Portfolio",
    "ibp": "verify.engines.ibp:IbpVerifier",
    "crown": "verify.engines.crown:CrownVerifier",
    "alpha-crown": "verify.engines.alpha_crown:AlphaCrownVerifier",
    "bab": "verify.engines.bab:BabVerifier",
    "milp": "verify.engines.milp:MilpVerifier",
    "attack": "verify.engines.attack:AttackVerifier",
    "auto-lirpa": "verify.engines.auto_lirpa:AutoLirpaVerifier",
})
"""name -> module:class."""

GROUP = "verify.engines"


def _third_party() -> dict[str, str]:
    found = {entry.name: entry.value for entry in entry_points(group=GROUP)}
    clash = sorted(set(found) & set(BUILT_IN))
    if clash:
        raise BrokenInvariant(f"an installed package registers engines with built-in names: {clash}")
    return found


def names() -> tuple[str, ...]:
    """Every engine that `--method` accepts, the default first."""
    return (*BUILT_IN, *sorted(_third_party()))


def create(name: str, settings: Settings) -> Verifier:
    """The engine `name`; raises `InvalidInput` listing the names that exist."""
    places = BUILT_IN if name in BUILT_IN else _third_party()
    if name not in places:
        raise InvalidInput(f"unknown method {name!r}; it can be one of {', '.join(names())}")
    module, _, attribute = places[name].partition(":")
    return getattr(import_module(module), attribute)(settings)
