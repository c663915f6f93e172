"""Build of the compiled parts; everything else is declared in pyproject.toml.

Set ``NEUROCORE_DEBUG=1`` for a build that checks every index and treats C warnings as errors.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

debug = os.environ.get("NEUROCORE_DEBUG") == "1"

directives = {
    "language_level": 3,
    "boundscheck": debug,
    "wraparound": False,
    "initializedcheck": debug,
    "cdivision": True,
    "embedsignature": True,
    "freethreading_compatible": True,
}
compile_args = ["-O3", "-fwrapv", "-fno-strict-aliasing", "-pthread"]
if debug:
    compile_args = [
        "-O1",
        "-g",
        "-fwrapv",
        "-fno-strict-aliasing",
        "-pthread",
        "-DNC_EMULATE_AVX512",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-parameter",
        "-Wno-missing-field-initializers",
        "-Wno-cast-function-type",
    ]

extensions = [
    Extension(
        "neurocore._engine",
        ["neurocore/_engine.pyx"],
        depends=[*sorted(map(str, Path("neurocore").glob("*.h"))), "neurocore/_engine.pyx"],
        include_dirs=["neurocore"],
        extra_compile_args=compile_args,
        extra_link_args=["-pthread"],
    ),
    Extension(
        "neurocore._anneal",
        ["neurocore/_anneal.pyx"],
        depends=["neurocore/_anneal.pyx"],
        extra_compile_args=compile_args,
    ),
    Extension(
        "neurocore._graph",
        ["neurocore/_graph.pyx"],
        depends=["neurocore/_graph.pyx"],
        extra_compile_args=compile_args,
    ),
]

setup(ext_modules=cythonize(extensions, compiler_directives=directives, build_dir="build/cython"))
