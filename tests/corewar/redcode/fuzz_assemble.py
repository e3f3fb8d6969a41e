"""An atheris harness, run by hand: `python tests/corewar/redcode/fuzz_assemble.py -runs=200000`.

Needs atheris (PyPI). Anything but `AssemblyError`, and any warrior that its own listing does not
give again, is a finding; libFuzzer's `-timeout` catches hangs.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports():
    from deid_corewar.redcode import AssemblyError, Standard, assemble, listing, parse_listing
    from deid_corewar.settings import SETTINGS


def check(data: bytes) -> None:
    standard = Standard.ICWS88 if data[:1] == b"8" else Standard.ICWS94
    try:
        warrior = assemble(data[1:].decode("latin-1"), SETTINGS["tiny"], standard=standard)
    except AssemblyError:
        return
    code = listing(warrior)
    assert listing(assemble(code.decode("ascii"), SETTINGS["tiny"])) == code
    assert parse_listing(code).instructions == warrior.instructions


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
