#!/usr/bin/env bash
# The scan on a GPU, from tests to figures, in one command: bash benchmarks/scan_cuda.sh [mamba_ssm-*.tar.gz]
# Needs a GPU, nvcc, ninja and an environment with cdzoo[test]. The rival's kernel is compiled first: minutes on many cores.
set -euo pipefail
cd "$(dirname "$0")/.."

python benchmarks/mamba_ssm_kernel.py --into build/mamba ${1:+--sdist "$1"}
export PYTHONPATH="$PWD/build/mamba:$PWD${PYTHONPATH:+:$PYTHONPATH}"
cdzoo env
pytest -q -m gpu tests/ops
python benchmarks/scan.py --device cuda --out benchmarks/results/scan_cuda.json
