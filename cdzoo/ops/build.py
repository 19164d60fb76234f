"""Compile the native scan: ``python -m cdzoo.ops.build``.

One source is compiled to a shared library with a C interface per instruction set. It includes no headers of PyTorch or Python,
and the libraries are loaded with ctypes, so they work with every version of both. ``setup.py`` runs this file by path before
anything is installed; it may import only the standard library.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "csrc"
LIBRARIES = Path(__file__).resolve().parent / "lib"

_X86 = {
    "avx512": "-DCDZOO_LANES=16 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mprefer-vector-width=512",
    "avx2": "-DCDZOO_LANES=8 -mavx2 -mfma",
    "base": "-DCDZOO_LANES=4",
}
_OTHER = {"base": "-DCDZOO_LANES=4"}  # NEON and others through the vector extensions of the compiler
# Fused multiply-adds are allowed, reassociation is not; see csrc/simd.hpp.
_FLAGS = "-std=c++17 -O3 -shared -fPIC -fvisibility=hidden -ffp-contract=fast -fno-math-errno -fno-trapping-math -pthread"


class BuildError(RuntimeError):
    """The native scan could not be compiled; the message has the reason and what to install."""


def find_compiler() -> list[str] | None:
    """Return the command of a GCC-compatible C++ compiler (``CXX``, then c++, g++, clang++), or None.

    Microsoft's cl does not support the vector extensions that the kernel uses; clang++ on Windows does.
    """
    if os.environ.get("CXX"):
        command = shlex.split(os.environ["CXX"])
        return command if shutil.which(command[0]) else None
    found = next((c for c in ("c++", "g++", "clang++") if shutil.which(c)), None)
    return [found] if found else None


def library_path(isa: str, folder: Path = LIBRARIES) -> Path:
    """Return the path of the library of an instruction set; it may not exist."""
    suffix = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
    return folder / f"cdzoo_scan_{isa}{suffix}"


def _target() -> tuple[dict[str, str], list[str]]:
    """Return flags per instruction set, and architecture flags from ARCHFLAGS in macOS wheel builds."""
    arch = shlex.split(os.environ.get("ARCHFLAGS", "")) if sys.platform == "darwin" else []
    machine = arch[1] if len(arch) == 2 else platform.machine()
    if len(arch) > 2:
        raise BuildError("universal2 libraries are not supported: build one architecture at a time")
    return (_X86 if machine.lower() in ("x86_64", "amd64") else _OTHER), arch


def flags(isa: str) -> list[str]:
    """Return the compiler flags of an instruction set."""
    sets, arch = _target()
    found = _FLAGS.split() + sets[isa].split() + arch
    return [flag for flag in found if not (sys.platform == "win32" and flag == "-fPIC")]


def build(folder: Path = LIBRARIES, verbose: bool = False, only: list[str] | None = None) -> list[Path]:
    """Compile every instruction set of this architecture.

    Args:
        folder: Output folder, created if necessary.
        verbose: Print the compiler commands.
        only: Instruction sets to compile; all by default.

    Returns:
        Paths of the libraries.

    Raises:
        BuildError: There is no compiler, or it failed.
    """
    compiler = find_compiler()
    if compiler is None:
        raise BuildError("no C++ compiler found; install one (Debian: apt install g++; conda: conda install cxx-compiler)")
    names = list(_target()[0]) if only is None else only
    folder.mkdir(parents=True, exist_ok=True)

    def compile_one(isa: str) -> Path:
        target = library_path(isa, folder)
        # Written to a new file and renamed, because a running process may have mapped the old one.
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            compiled = Path(temporary) / target.name
            command = [*compiler, *flags(isa), str(SOURCES / "scan.cpp"), "-o", str(compiled)]
            if verbose:
                print(shlex.join(command), flush=True)
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                raise BuildError(f"{shlex.join(command)}\n{run.stderr.strip()[-2000:]}")
            os.replace(compiled, target)
        return target

    with ThreadPoolExecutor(max_workers=min(len(names), os.cpu_count() or 1)) as pool:
        return list(pool.map(compile_one, names))


def main() -> int:
    """Build in place, print the commands, and return the exit status."""
    try:
        for path in build(verbose=True):
            print(path)
    except (BuildError, OSError) as error:
        print(f"cdzoo: the native scan was not built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
