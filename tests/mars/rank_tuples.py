"""Write ext/deid_mars/frequent.h anew: the tuples that get a handler of their own.

    PYTHONPATH=ext:tests python -m mars.rank_tuples [COUNT]

A tuple's rank is its mean share of the instructions executed, over one battle of every row of the
data folder's results, so that long battles count no more than short ones and no set of warriors
is fitted to.
"""

import sys
from collections import Counter
from pathlib import Path

from mars.data import Match, corewar_data, matches

from deid_mars import MODIFIERS, OPCODES, _mars, trace

HEADER = Path(__file__).parents[2] / "ext" / "deid_mars" / "frequent.h"
MODES = (
    "IMMEDIATE", "DIRECT", "B_INDIRECT", "B_DECREMENT", "B_INCREMENT", "A_INDIRECT", "A_DECREMENT",
    "A_INCREMENT",
)  # fmt: skip
COUNT = 192


def shares(match: Match) -> Counter[int]:
    """Share of each canonical tuple in the first round of a match."""
    played = match.play(rounds=1)
    seen = trace(match.core, match.programs, played.positions[0], turns_max=2**20)
    numbers = seen.instruction @ [512, 64, 8, 1]
    counts = Counter(_mars.canonical(number) for number in numbers.tolist())
    return Counter({number: count / len(numbers) for number, count in counts.items()})


def header(tuples: list[int]) -> str:
    """The C list of these tuples."""
    lines = [
        "/* The tuples with a handler of their own, most frequent first: opcode, modifier, A-mode,",
        " * B-mode. Written by tests/mars/rank_tuples.py from battles of all seven sets.",
        " */",
        "#define MARS_FREQUENT(X) \\",
    ]
    lines += [
        f"    X({OPCODES[t >> 9]}, {MODIFIERS[t >> 6 & 7]}, {MODES[t >> 3 & 7]}, {MODES[t & 7]}) \\"
        for t in tuples
    ]
    return "\n".join([*lines[:-1], lines[-1].removesuffix(" \\"), ""])


def main() -> None:
    data = corewar_data()
    total: Counter[int] = Counter()
    battles = 0
    for name in ("pairs.csv", "multis.csv"):
        for match in matches(data, name):
            total.update(shares(match))
            battles += 1
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    ranked = [number for number, _ in total.most_common()]
    for k in (64, 128, count, len(ranked)):
        covered = sum(total[number] for number in ranked[:k]) / battles
        print(f"{k} tuples: {covered:.2%} of the instructions executed")
    HEADER.write_text(header(ranked[:count]))


if __name__ == "__main__":
    main()
