"""Short-lived daemons in miniature, to be killed: ``python -m store.lives``.

For every line ``[path, seed, in_flight]`` (JSON) on stdin one process is forked; on stdout come, as
numbers of four bytes, its pid, the numbers of the transactions that were acknowledged to it, and,
once it is dead, :data:`DEAD`. This process has one thread, so forking it is safe.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from random import Random

from store.samples import attempt, item, rows_of

from deid.store import AttemptState, Head, Journal, Transaction

DEAD = 0xFFFFFFFF


@cache
def transaction(seed: int, number: int) -> Transaction:
    """The ``number``-th transaction of a life story: everything in it derives from its number."""
    rng = Random(seed << 32 | number)
    return Transaction(
        rows_of(rng, rng.randint(1, 5)),
        items=(item(number, raw=rng.randbytes(rng.choice((10, 3_000)))),),
        attempts=(attempt(number, state=AttemptState.SETTLED, reserved_micro_usd=number),),
        meta={"number": b"%d" % number},
    )


def live(path: Path, seed: int, in_flight: int) -> None:
    """Goes on where the file ends, acknowledges what is durable, never ends by itself."""
    with Journal(path, quick_check=False) as journal:
        number = int(journal.meta("number") or b"0")
        under_way: deque[tuple[int, Future[Head]]] = deque()
        while True:
            number += 1
            under_way.append((number, journal.append(transaction(seed, number))))
            if len(under_way) >= in_flight:
                oldest, future = under_way.popleft()
                future.result(30)
                tell(oldest)


def tell(number: int) -> None:
    os.write(1, number.to_bytes(4, "big"))


def main() -> None:
    for line in sys.stdin:
        path, seed, in_flight = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                tell(os.getpid())
                live(Path(path), seed, in_flight)
            finally:
                os._exit(1)
        os.waitpid(child, 0)
        tell(DEAD)


if __name__ == "__main__":
    main()
