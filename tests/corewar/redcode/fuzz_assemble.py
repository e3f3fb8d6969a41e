"""An atheris harness for the assembler; needs atheris (PyPI).

By hand, as long as one likes, and `-help=1` shows what else libFuzzer takes::

    python tests/corewar/redcode/fuzz_assemble.py -max_total_time=600

Anything but `AssemblyError`, any warrior that its own listing does not give again, any text that
takes ten seconds or 512 MB is a finding. The first byte chooses the standard (`8`: ICWS'88). What a
run learns is kept only where a folder for it is named, so that `corpus/` stays as small as it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["deid_corewar"]):
    from deid_corewar.redcode import AssemblyError, Standard, assemble, listing, parse_listing
    from deid_corewar.settings import SETTINGS

SEEDS = ",".join(map(str, sorted(Path(__file__).with_name("corpus").iterdir())))
LIMITS = ["-timeout=10", "-rss_limit_mb=512", "-max_len=4096"]


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
    atheris.Setup([sys.argv[0], *LIMITS, f"-seed_inputs={SEEDS}", *sys.argv[1:]], check)
    atheris.Fuzz()
