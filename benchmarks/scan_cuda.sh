#!/usr/bin/env bash
# The scan on a GPU: correctness, times and peak memory as JSON, in under five minutes and without a network.
#
#   bash benchmarks/scan_cuda.sh build [mamba_ssm-*.tar.gz]   compile the kernel of mamba-ssm (nvcc, ninja; minutes), once
#   bash benchmarks/scan_cuda.sh [OUT.json [--budget S]]      measure; default benchmarks/results/scan_cuda.json
#
# Measuring needs CUDA, PyTorch and Triton. Wheels in the folder wheels/ (timm, safetensors, mamba_ssm ...) are unpacked into
# build/wheels and used from there; a compiled selective_scan_cuda*.so there does instead of a wheel of mamba-ssm. Without either,
# mamba-ssm is left out of the comparison and the report says so.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"

if [ "${1:-}" = build ]; then
    exec "$python" benchmarks/mamba_ssm_kernel.py --into build/mamba ${2:+--sdist "$2"}
fi

mkdir -p build/wheels build/mamba
if compgen -G "wheels/*.whl" >/dev/null; then
    "$python" -m pip install --quiet --no-index --no-deps --upgrade --target build/wheels wheels/*.whl
fi
"$python" benchmarks/mamba_ssm_kernel.py --into build/mamba --only-find || echo "mamba-ssm is left out" >&2
# Packages from wheels/ come before the machine's own.
export PYTHONPATH="$PWD:$PWD/build/mamba${PYTHONPATH:+:$PYTHONPATH}:$PWD/build/wheels"
export HF_HUB_OFFLINE=1
exec "$python" benchmarks/scan_cuda.py --out "${1:-benchmarks/results/scan_cuda.json}" "${@:2}"
