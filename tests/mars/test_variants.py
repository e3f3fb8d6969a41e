"""Other builds of the same kernel: the portable switch, the host's own instructions, sanitizers."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from mars.data import matches
from mars.test_battles import random_melee

import deid_mars
from deid_mars import Ending, Results, melee, trace

SOURCES = Path(deid_mars.__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
STATISTICS = ("death", "spawned", "covered", "executed")

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds the extension with extra flags for the kernel into a folder of its own."""
    if COMPILER is None:
        pytest.skip("no C compiler on the PATH")
    if importlib.util.find_spec("Cython") is None:
        pytest.skip("no Cython in this environment")
    if not (SOURCES / "kernel.c").is_file():
        pytest.skip(f"no sources of the kernel in {SOURCES}")
    root = tmp_path_factory.mktemp("variants")
    wrapper = root / "_mars.c"
    subprocess.run(
        [sys.executable, "-m", "cython", "-3", str(SOURCES / "_mars.pyx"), "-o", str(wrapper)],
        check=True,
    )
    compile_c = [COMPILER, "-fPIC", f"-I{sysconfig.get_path('include')}", f"-I{SOURCES}"]
    subprocess.run(
        [*compile_c, "-O0", "-w", "-c", str(wrapper), "-o", str(root / "_mars.o")], check=True
    )

    def builder(name: str, *flags: str) -> Path:
        folder = root / name
        folder.mkdir()
        objects = [root / "_mars.o"]
        for source in ("kernel.c", "battle.c"):
            objects.append(folder / f"{source}.o")
            warnings = ["-Wall", "-Wextra", "-Werror"]
            subprocess.run(
                [*compile_c, "-O2", *warnings, *flags, "-c", SOURCES / source, "-o", objects[-1]],
                check=True,
            )
        library = folder / f"_mars{sysconfig.get_config_var('EXT_SUFFIX')}"
        subprocess.run([COMPILER, "-shared", *flags, *objects, "-o", library], check=True)
        return library

    return builder


def loaded(library: Path) -> ModuleType:
    """The extension module of a build."""
    spec = importlib.util.spec_from_file_location(f"{library.parent.name}._mars", library)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def everything(data: Path | None) -> list[Results]:
    """Results of melees and matches, the same whatever build computes them."""
    core, programs, positions, first = random_melee(40)
    found = [melee(core, programs, positions, first, ending=ending) for ending in Ending]
    for turns_max in (0, 100):
        found.append(trace(core, programs, positions[0], 0, turns_max=turns_max).results)
    if data is not None:
        for match in [*list(matches(data, "pairs.csv"))[::29], *matches(data, "multis.csv")]:
            found.append(match.play(rounds=4).results)
    return found


def assert_equal(these: list[Results], those: list[Results]) -> None:
    assert len(these) == len(those)
    for this, other in zip(these, those, strict=True):
        for name in STATISTICS:
            np.testing.assert_array_equal(getattr(this, name), getattr(other, name))


def test_the_portable_build_gives_the_same_arrays(
    build: Build, monkeypatch: pytest.MonkeyPatch, corewar_data: Path
) -> None:
    here = everything(corewar_data)
    portable = loaded(build("portable", "-DDEID_MARS_PORTABLE"))
    monkeypatch.setattr("deid_mars.battles._mars", portable)

    assert portable.DISPATCH == "portable"
    assert_equal(everything(corewar_data), here)


@pytest.mark.slow
def test_a_build_for_this_host_gives_the_same_arrays(
    build: Build, monkeypatch: pytest.MonkeyPatch, corewar_data: Path
) -> None:
    here = everything(corewar_data)
    native = loaded(build("native", "-march=native", "-O3"))
    monkeypatch.setattr("deid_mars.battles._mars", native)

    assert native.DISPATCH == deid_mars.DISPATCH
    assert_equal(everything(corewar_data), here)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("-DDEID_MARS_PORTABLE",)], ids=["threaded", "portable"])
def test_the_simulator_s_own_tests_are_clean_under_sanitizers(
    build: Build, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """Addresses and undefined behaviour are watched while the tests of battles run."""
    assert COMPILER is not None
    runtime = subprocess.run(
        [COMPILER, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(runtime).is_absolute():
        pytest.skip("the compiler has no address sanitizer")
    library = build(
        f"sanitized{len(flags)}", "-g", "-fsanitize=address,undefined",
        "-fno-sanitize-recover=undefined", *flags,
    )  # fmt: skip
    package = tmp_path / "deid_mars"
    package.mkdir()
    for file in [*SOURCES.glob("*.py"), library]:
        shutil.copy(file, package / file.name)
    root = Path(__file__).parents[2]
    watched = ["test_battles.py", "test_differential.py", "test_semantics.py", "test_settings.py"]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow",
         *(str(root / "tests" / "mars" / name) for name in watched)],
        cwd=root,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": f"{tmp_path}:{root / 'tests'}",
            "LD_PRELOAD": runtime,
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONMALLOC": "malloc",
        },
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
