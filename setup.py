"""Build of the compiled simulator; everything else stands in pyproject.toml."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

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
                depends=[
                    "ext/deid_mars/kernel.h",
                    "ext/deid_mars/semantics.h",
                    "ext/deid_mars/frequent.h",
                ],
                include_dirs=["ext/deid_mars"],
                extra_compile_args=["-O2", *extra],
            )
        ],
        language_level=3,
    )
)
