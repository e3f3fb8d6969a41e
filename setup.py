"""Build of the compiled simulator; everything else stands in pyproject.toml."""

import os
import sysconfig

from Cython.Build import cythonize
from setuptools import Extension, setup

# One wheel serves Python 3.11 and all later ones: typed memoryviews are in the stable ABI from 3.11
# on. Free-threaded builds of Python have no stable ABI.
STABLE_ABI = not sysconfig.get_config_var("Py_GIL_DISABLED")

extra = os.environ.get("DEID_MARS_CFLAGS", "").split()

setup(
    ext_modules=cythonize(
        [
            Extension(
                "deid_mars._mars",
                [
                    "ext/deid_mars/_mars.pyx",
                    "ext/deid_mars/kernel.c",
                    "ext/deid_mars/battle.c",
                ],
                depends=[  # what a source distribution must hold, too
                    "ext/deid_mars/_mars.pyx",
                    "ext/deid_mars/kernel.h",
                    "ext/deid_mars/semantics.h",
                    "ext/deid_mars/frequent.h",
                ],
                include_dirs=["ext/deid_mars"],
                define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE_ABI else [],
                py_limited_api=STABLE_ABI,
                extra_compile_args=["-O2", *extra],
            )
        ],
        language_level=3,
    ),
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
