"""Lists of instances: a CSV with the columns onnx, vnnlib, timeout and optionally set and expected."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from verify.errors import InvalidInput

_NEEDED = ("onnx", "vnnlib", "timeout")
_EXPECTED = MappingProxyType({"sat": "sat", "unsat": "unsat", "": "", "?": "", "unknown": ""})


@dataclass(frozen=True)
class Instance:
    """One question: network and property as the list names them, limit in seconds, `sat`, `unsat` or empty (open)."""

    set: str
    onnx: str
    vnnlib: str
    timeout: float
    expected: str


def read_instances(path: Path, base: Path) -> tuple[Instance, ...]:
    """The instances of a list; their files are looked for under `base`.

    Raises InvalidInput naming the line: a missing column or file, a timeout that is not positive, another expected
    verdict than `sat`, `unsat`, `unknown`, `?` or nothing, an instance that is listed twice. An instance without a
    set belongs to the set of the list's own name.
    """
    found: dict[tuple[str, str, str], Instance] = {}
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                raise InvalidInput(f"{path}: column {missing[0]} is missing; needed: {', '.join(_NEEDED)}")
            for cells in reader:
                instance = _instance(cells, path.stem, base, f"{path} line {reader.line_num}")
                key = (instance.set, instance.onnx, instance.vnnlib)
                if key in found:
                    raise InvalidInput(f"{path} line {reader.line_num}: {instance.vnnlib} on {instance.onnx} is "
                                       "listed twice; each pair may be there once per set")
                found[key] = instance
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"cannot read the list {path}: {error}") from error
    return tuple(found.values())


def select(instances: Iterable[Instance], sets: Iterable[str] = (), every: int = 1) -> tuple[Instance, ...]:
    """Every `every`-th instance of the named sets (of all when none is named), beginning with the first.

    Raises InvalidInput for a set that the list does not have.
    """
    instances, sets = tuple(instances), tuple(sets)
    known = dict.fromkeys(instance.set for instance in instances)
    for name in sets:
        if name not in known:
            raise InvalidInput(f"no set {name} in the list; it has: {', '.join(known)}")
    return tuple(instance for instance in instances if not sets or instance.set in sets)[::every]


def _instance(cells: dict[str, str | None], default_set: str, base: Path, where: str) -> Instance:
    text = {name: (value or "").strip() for name, value in cells.items() if isinstance(name, str)}
    try:
        timeout = float(text["timeout"])
    except ValueError:
        timeout = math.nan
    if not 0 < timeout < math.inf:
        raise InvalidInput(f"{where}: timeout {text['timeout']!r}; accepted are seconds above 0")
    expected = text.get("expected", "")
    if expected not in _EXPECTED:
        raise InvalidInput(f"{where}: expected verdict {expected!r}; accepted are sat, unsat, unknown, ? or nothing")
    for name in ("onnx", "vnnlib"):
        if not (base / text[name]).is_file():
            raise InvalidInput(f"{where}: no such file: {base / text[name]}; --base names the folder of the paths")
    return Instance(text.get("set", "") or default_set, text["onnx"], text["vnnlib"], timeout, _EXPECTED[expected])
