from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

DISPATCH: str
SIZE_MAX: int
RING_MAX: int

def encode(code: ArrayLike, size: int) -> NDArray[np.uint64]: ...
def canonical(number: int) -> int: ...

class Batch:
    results: NDArray[np.int64]

    def __init__(
        self,
        programs: Sequence[tuple[NDArray[np.uint64], int, int]],
        positions: NDArray[np.int32],
        first: NDArray[np.int32],
        *,
        size: int,
        cycles_max: int,
        processes_max: int,
        pspace_size: int,
        ending: int,
        keep_pspace: bool = False,
    ) -> None: ...
    def work(self) -> None: ...
    def run(self, threads: int) -> NDArray[np.int64]: ...
    def record(
        self, skip: int, rows_max: int
    ) -> tuple[
        NDArray[np.int64],
        list[NDArray[np.int32]],
        NDArray[np.int32],
        NDArray[np.int32],
        list[list[int]],
    ]: ...
