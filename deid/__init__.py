"""deid: distributed, LLM-driven quality-diversity search by a swarm of peers."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        try:
            return version("deid-qd")
        except PackageNotFoundError:  # a source tree that was never installed
            return "0+unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
