"""Stands for `verify` in the tests: the property file says, in one word, how the run is to end."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

DOCUMENT = {"reason": "", "detail": "", "domains": 7, "best_bound": 0.5,
            "phases": {"load": 0.25, "attack": 0.5, "root bounds": 0.75}}


def main() -> int:
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print("verify 0")
        return 0
    word = Path(arguments[2]).read_text().strip()
    if "--json" not in arguments:
        return 0
    result, witness = (Path(arguments[arguments.index(name) + 1]) for name in ("--json", "--witness"))
    if word == "hang":
        time.sleep(60)
    if word == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "refused":
        print("noise\nerror: operator Foo is not supported", file=sys.stderr)
        return 5
    if word in ("sat", "sat-exit"):
        witness.write_text("((X_0 1.0))\n")
    say = word.partition("-")[0].replace("late", "timed-out")
    document = DOCUMENT | {"verdict": "unsat" if word == "sat-json" else say}
    if say == "unknown":
        document |= {"reason": "incomplete", "detail": "too\ndeep"}
    result.write_text(json.dumps(document))
    print(say)
    if word == "unknown-crash":
        print("error: internal error: crashed", file=sys.stderr)
        return 70
    return {"unsat": 0, "sat": 1, "unknown": 3}.get(say, 4) if word != "sat-exit" else 0


if __name__ == "__main__":
    sys.exit(main())
