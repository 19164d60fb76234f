"""Build of the native scan; everything else about the package is in pyproject.toml.

The libraries are compiled where there is a C++ compiler, and the installation succeeds without them where there is none: the
scan then runs on its PyTorch reference, slower. They hold no Python or torch symbols, so a wheel with them is tagged
py3-none-<platform>, and one without them py3-none-any.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

from setuptools import setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

ROOT = Path(__file__).resolve().parent


def _builder() -> ModuleType:
    """Load cdzoo/ops/build.py by its path: importing cdzoo would import torch, which a build environment lacks."""
    spec = importlib.util.spec_from_file_location("cdzoo_native_build", ROOT / "cdzoo" / "ops" / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class BuildWithNative(build_py):
    """Copy the Python files, then put freshly compiled libraries beside them."""

    native: ClassVar[list[Path]] = []  # what was compiled; read by the wheel's tag

    def run(self) -> None:
        """Build; a failed compilation is reported and leaves a package that works without it."""
        super().run()
        base = ROOT if self.editable_mode else Path(self.build_lib)
        folder = base / "cdzoo" / "ops" / "lib"
        builder = _builder()
        try:
            BuildWithNative.native = builder.build(folder)
            print(f"cdzoo: native scan built in {folder}: {', '.join(p.name for p in BuildWithNative.native)}")
        except (builder.BuildError, OSError) as error:
            BuildWithNative.native = []
            if not self.editable_mode:
                for stale in folder.glob("cdzoo_scan_*"):  # copied from the source tree, perhaps of another machine
                    stale.unlink()
            message = (
                f"cdzoo: NATIVE SCAN NOT BUILT, the slower reference will be used on CPUs.\n  {error}\n"
                "  Install a C++ compiler and reinstall, or run `python -m cdzoo.ops.build`."
            )
            print(message, file=sys.stderr)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """List the libraries among what was built, so that installers know of them."""
        return [*super().get_outputs(include_bytecode), *(str(p) for p in self.native if not self.editable_mode)]


class PlatformWheel(bdist_wheel):
    """A wheel for any Python 3, and for any platform unless it holds libraries."""

    def run(self) -> None:
        """Build first, since only then it is known what the wheel holds."""
        self.run_command("build")
        self.root_is_pure = not BuildWithNative.native
        if BuildWithNative.native:  # what decides that files go to the platform's library folder
            self.distribution.has_ext_modules = lambda: True
        super().run()

    def get_tag(self) -> tuple[str, str, str]:
        """Return py3-none-any or py3-none-<platform>."""
        platform = super().get_tag()[2]
        return "py3", "none", "any" if self.root_is_pure else platform


setup(cmdclass={"build_py": BuildWithNative, "bdist_wheel": PlatformWheel})
