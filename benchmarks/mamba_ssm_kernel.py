"""Compile the CUDA scan of mamba-ssm for the local GPU: ``python benchmarks/mamba_ssm_kernel.py --into build/mamba``.

The source distribution builds for nine architectures, with a C++ standard that recent PyTorch headers do not support, and
requests a prebuilt file from a server first. This script compiles only the kernel, with PyTorch's extension builder, for the
architecture of the local GPU (or of ``TORCH_CUDA_ARCH_LIST``). It needs nvcc and ninja, and gigabytes of memory per job
(``MAX_JOBS``). The backend ``mamba_ssm`` finds the result if its folder is on ``PYTHONPATH``.

Nothing is compiled if the folder already contains the module, or if a wheel of mamba-ssm or the module itself is in the folder
``--wheels``, from which it is then taken.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

# As in setup.py of the distribution; a kernel compiled with other flags would be an unfair comparison.
NVCC_FLAGS = [
    "-O3",
    "-U__CUDA_NO_HALF_OPERATORS__",
    "-U__CUDA_NO_HALF_CONVERSIONS__",
    "-U__CUDA_NO_BFLOAT16_OPERATORS__",
    "-U__CUDA_NO_BFLOAT16_CONVERSIONS__",
    "-U__CUDA_NO_BFLOAT162_OPERATORS__",
    "-U__CUDA_NO_BFLOAT162_CONVERSIONS__",
    "--expt-relaxed-constexpr",
    "--expt-extended-lambda",
    "--use_fast_math",
    "-lineinfo",
]


MODULE = "selective_scan_cuda"


def take_compiled(wheels: Path, folder: Path) -> bool:
    """Copy an existing compiled module to a folder; return whether there is one."""
    if any(folder.glob(f"{MODULE}*.so")):
        return True
    for file in sorted(wheels.glob(f"{MODULE}*.so")):
        shutil.copy(file, folder)
        return True
    for wheel in sorted(wheels.glob("mamba_ssm-*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.startswith(MODULE) and name.endswith(".so")]
            archive.extractall(folder, names)
        if names:
            return True
    return False


def source_distribution(folder: Path) -> Path:
    """Download the latest source distribution."""
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation", "--no-binary", "mamba-ssm"]
    subprocess.run([*words, "--dest", str(folder), "mamba-ssm"], check=True)
    return max(folder.glob("mamba_ssm-*.tar.gz"), key=lambda file: file.stat().st_mtime)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the kernel's sources and return their folder."""
    with tarfile.open(archive) as opened:
        members = [member for member in opened.getmembers() if "/csrc/selective_scan/" in member.name]
        opened.extractall(folder, members=members, filter="data")
    return next(iter(folder.glob("mamba_ssm-*/csrc/selective_scan")))


def compile_kernel(sources: Path, folder: Path) -> None:
    """Compile all precisions into ``selective_scan_cuda`` in a folder."""
    from torch.utils.cpp_extension import load

    files = sorted(str(file) for suffix in ("*.cpp", "*.cu") for file in sources.glob(suffix))
    options = {"extra_cflags": ["-O3"], "extra_cuda_cflags": NVCC_FLAGS, "extra_include_paths": [str(sources)]}
    load("selective_scan_cuda", files, build_directory=str(folder), verbose=True, **options)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, required=True, help="folder for the compiled module")
    parser.add_argument("--sdist", type=Path, help="mamba_ssm-*.tar.gz, for machines without a network; downloaded by default")
    parser.add_argument("--wheels", type=Path, default=Path("wheels"), help="folder with a wheel of mamba-ssm or the module")
    parser.add_argument("--only-find", action="store_true", help="do not compile; exit with 1 if there is no compiled module")
    chosen = parser.parse_args()
    chosen.into.mkdir(parents=True, exist_ok=True)
    if take_compiled(chosen.wheels, chosen.into):
        print(f"already compiled; use it with PYTHONPATH={chosen.into}")
        return
    if chosen.only_find:
        sys.exit(f"no compiled {MODULE} in {chosen.into} or {chosen.wheels}")
    archive = chosen.sdist or source_distribution(chosen.into)
    compile_kernel(unpack(archive, chosen.into), chosen.into)
    print(f"compiled; use it with PYTHONPATH={chosen.into}")


if __name__ == "__main__":
    main()
