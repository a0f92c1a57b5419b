"""What a long evaluation has found so far, one JSON line per result, so that an interrupted one goes on where it was.

A line is only ever appended. The last one may be cut off by an interruption and is then ignored; results are looked up
by a key that names everything they depend on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from verify.errors import InvalidInput


class Journal:
    """Results by key, kept in `path` (None: only in memory)."""

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._found: dict[str, Any] = {}
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def _read(self, path: Path) -> None:
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{path}: cannot be read as a journal ({error})") from error
        lines = content.split("\n")
        for number, line in enumerate(lines[:-1], 1):
            try:
                record = json.loads(line)
                self._found[record["key"]] = record["value"]
            except (ValueError, TypeError, KeyError) as error:
                raise InvalidInput(f"{path}:{number}: not a line of a journal; remove it to start anew") from error
        if lines[-1]:
            # Cut off in the middle: the next line must not be glued to it.
            path.write_text("".join(f"{line}\n" for line in lines[:-1]), encoding="utf-8")

    def get(self, key: str) -> Any | None:
        """What was found under this key, or None."""
        return self._found.get(key)

    def put(self, key: str, value: Any) -> None:
        """Remembers a result that JSON can hold, at once on disk."""
        self._found[key] = value
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "value": value}) + "\n")


def image_keys(x: Tensor, labels: Tensor) -> list[str]:
    """A short digest of every image and its label."""
    return [hashlib.sha256(image.detach().cpu().contiguous().numpy().tobytes() + str(label).encode()).hexdigest()[:24]
            for image, label in zip(x, labels.tolist(), strict=True)]


def key_of(parts: Sequence[object]) -> str:
    """Parts joined by spaces; they must not be ambiguous."""
    return " ".join(str(part).replace(" ", "_") for part in parts)
