"""What ``deid doctor`` asks of Core War."""

from __future__ import annotations

__all__ = ["check_simulator"]

CYCLES = 80_000
CORE = 8_000


def check_simulator() -> tuple[bool, str]:
    """Whether the compiled simulator is there and an imp in it walks round the core."""
    try:
        import deid_mars
    except ImportError as error:
        return False, f"deid_mars cannot be imported ({error}); build it: pip install ."
    imp = deid_mars.Program([(0, 6, 1, 0, 1, 1)])
    results = deid_mars.melee(deid_mars.Core(CORE, CYCLES), [imp], [[0]], [0])
    death, covered = int(results.death[0, 0]), int(results.covered[0, 0])
    if (death, covered) != (CYCLES + 1, CORE):
        return False, (
            f"deid_mars is wrong: an imp should live {CYCLES} cycles on {CORE} cells, "
            f"got death in cycle {death}, {covered} cells; rebuild it"
        )
    return True, f"deid_mars works ({deid_mars.DISPATCH} dispatch)"
