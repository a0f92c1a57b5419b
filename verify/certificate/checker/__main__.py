"""`python -m verify.certificate.checker NET SPEC PROOF`: the checker without the rest of the project."""

import sys

from verify.certificate.checker.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
