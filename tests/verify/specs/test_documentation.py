"""The examples of docs/specifications.md run, one after the other, and what they assert holds."""

import re
from pathlib import Path

from verify import specs

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "specifications.md"


def test_examples_run():
    text = GUIDE.read_text(encoding="utf-8")
    namespace: dict = {}
    blocks = list(re.finditer(r"```python\n(.*?)```", text, re.DOTALL))
    for block in blocks:
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], str(GUIDE), "exec"), namespace)
    assert len(blocks) == 10


def test_everything_is_mentioned():
    text = GUIDE.read_text(encoding="utf-8")
    assert [name for name in specs.__all__ if name not in text and name not in ("Asked", "Pattern", "Region")] == []
