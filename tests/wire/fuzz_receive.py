"""Coverage-guided fuzzing of every decoder and of a node's ``receive``.

``python tests/wire/fuzz_receive.py [libFuzzer options] [corpus folder]``, for example
``-runs=100000``. Needs the package ``atheris``; ``--seeds FOLDER`` writes a first corpus, one file
a message, and ends. Nothing but :class:`RemoteError` may come out of a decoder, and nothing at all
out of ``receive``.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from wire.support import Pair, draft, node  # noqa: E402
from wire.test_messages import GOLDEN  # noqa: E402

from deid.errors import RemoteError  # noqa: E402
from deid.wire.item import parse_item  # noqa: E402
from deid.wire.messages import decode, encode  # noqa: E402
from deid.wire.record import parse_record  # noqa: E402


def fuzz_one(data: bytes) -> None:
    """Feed ``data`` to each decoder, then to a node with a proven peer, cut into messages: each
    begins with its length in two bytes."""
    for decoder in (decode, parse_item, parse_record):
        with contextlib.suppress(RemoteError):
            decoder(data)
    pair = Pair(node(1), node(2))
    pair.link()
    pair.publish(1, draft(1))
    here, now_ms, at = pair.nodes[1], pair.now_ms, 0
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        here.receive(now_ms, (0, "a"), data[at + 2 : at + 2 + size])
        now_ms += 100
        here.tick(now_ms)
        here.outbox()
        here.events()
        here.dials()
        at += 2 + size
    assert len(here.items()) >= 1, "an item that was held is gone"


def seeds() -> list[bytes]:
    """Every message once alone, and all of them after each other."""
    framed = [len(each).to_bytes(2, "big") + each for each in (encode(m) for m, _ in GOLDEN)]
    return [*framed, b"".join(framed)]


def main() -> None:
    if sys.argv[1:2] == ["--seeds"]:
        folder = Path(sys.argv[2])
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(seeds()):
            (folder / f"seed-{number:02}").write_bytes(data)
        return
    fuzzer: Any = __import__("atheris")
    fuzzer.instrument_all()
    fuzzer.Setup(sys.argv, fuzz_one)
    fuzzer.Fuzz()


if __name__ == "__main__":
    main()
