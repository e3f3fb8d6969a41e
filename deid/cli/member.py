"""What each process of a fleet runs: the program ``deid``, ended with the process that started it.

``python -m deid.cli.member PARENT ARGUMENTS…``; PARENT: pid of the starting process.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from deid.cli.deid import deid
from deid.cli.exits import run_program
from deid.daemon.child_setup import die_with_parent


def main() -> NoReturn:
    """Runs ``deid ARGUMENTS…``."""
    die_with_parent(int(sys.argv.pop(1)))
    run_program(deid, "deid")


if __name__ == "__main__":
    main()
