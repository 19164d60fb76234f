"""The Triton kernels: interpreted, compiled for GPUs that are not present, and run on a GPU when there is one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scan_cases import NAMES, flat, map_problem

from cdzoo.ops import scan_index, scan_reference, scan_triton, triton_tiles
from cdzoo.ops.args import ScanArgs
from cdzoo.ops.selfcheck import BACKWARD_TOLERANCE, FORWARD_TOLERANCE, relative_error

triton = pytest.importorskip("triton")
ROOT = Path(__file__).parents[2]

CASES = [
    "one step",
    "one state",
    "two states",
    "four states, three segments",
    "one state, two blocks of channels",
    "seven states",
    "sixteen states, maps of directions",
    "sixteen states, two segments",
    "sixteen states, one by one",
    "thirty-two states",
    "sixty-four states",
    "literal loop",
    "steep",
    "bfloat16",
    "float16",
    "special values",
    "tiles",
    "tuning",
]


@pytest.fixture(scope="module")
def interpreted():
    """Return the results of all cases of triton_cases.py, from a process in which Triton interprets kernels."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    script = Path(__file__).with_name("triton_cases.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_interpreted_case_is_checked(interpreted):
    assert list(interpreted) == CASES


@pytest.mark.parametrize("name", CASES)
def test_interpreted_kernels_agree_with_float64(name, interpreted):
    assert not interpreted[name], interpreted[name]


@pytest.mark.parametrize(
    ("batch", "channels", "length", "segments", "one_by_one"),
    [
        (1, 32, 4096, 64, False),  # four warps: as many segments as there are chunks
        (2, 192, 4096, 22, False),
        (200, 192, 4096, 1, True),  # a single direction already fills the GPU
        (64, 32, 49, 1, False),  # a single chunk cannot be split
        (8, 1280, 16384, 4, True),  # a map per direction would take 2.7 GB
    ],
)
def test_launch_plan(batch, channels, length, segments, one_by_one):
    tile = triton_tiles.Tile(4, 4, 1, 1, 2)
    plan = scan_triton.plan(batch, 4, length, channels, tile, 132 * 8)
    assert (plan.segments, plan.one_by_one) == (segments, one_by_one)
    assert plan.span % 64 == 0 and (plan.segments - 1) * plan.span < length <= plan.segments * plan.span


@pytest.mark.parametrize("kernel", ["segment_ends", "outputs", "gradients"])
@pytest.mark.parametrize("state", [1, 2, 3, 4, 7, 8, 16, 33, 64, 500, 1000])
def test_tiles_hold_all_states(kernel, state):
    for channels in (1, 80, 192, 384):
        tiles = triton_tiles.candidates(kernel, state, channels)
        assert all(state <= tile.states < 8 * state and 64 % tile.steps == 0 and 32 % tile.ln == 0 for tile in tiles)
    if state == 1:
        assert [triton_tiles.candidates(kernel, 1, c)[0].channels for c in (128, 192, 384)] == [128, 64, 128]


COMPILE = """
import sys
sys.path.insert(0, {benchmarks!r})
import scan_static
for entry in scan_static.report([{capability}], ({state},), ["{dtype}"]):
    for row in entry["kernels"]:
        print(row["kernel"], row["registers"], row["spill_instructions"], row["stack_bytes"])
        wide = row.get("at_128_registers")
        bounds = [max(r["bound_ps_per_element_and_state"][b] for b in ("instructions", "memory")) for r in (row, wide or row)]
        assert wide is None or bounds[0] <= bounds[1], (row, wide)
    print(entry["pass"], entry["instructions_per_element_and_state"])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Triton compiles for NVIDIA devices on Linux only")
@pytest.mark.skipif(int(triton.__version__.split(".")[1]) < 4, reason="triton before 3.4 has another compiler interface")
@pytest.mark.parametrize(("capability", "state", "dtype"), [(80, 1, "fp32"), (90, 16, "bf16")])
def test_kernels_compile_without_spills_for_absent_gpus(capability, state, dtype, tmp_path):
    """The interpreter runs Python; types, shapes, layouts and registers are checked by the compiler."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    code = COMPILE.format(benchmarks=str(ROOT / "benchmarks"), capability=capability, state=state, dtype=dtype)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    kernels = [line for line in lines if len(line) == 4]
    assert [line[0] for line in kernels] == ["segment_ends", "carry", "outputs", "segment_ends", "carry", "gradients"]
    assert all(line[2:] == ["0", "0"] for line in kernels), done.stdout
    # The previous kernels, which exchanged states through shared memory, remain in the report as a baseline.
    baseline = json.loads((ROOT / "benchmarks" / "results" / "scan_static_baseline.json").read_text())["passes"]
    for line in lines:
        if len(line) == 2:
            (before,) = (e for e in baseline if (e["pass"], e["target"], e["states"]) == (line[0], f"sm_{capability}", state))
            # The baseline is in fp32: conversions of bf16 maps come on top.
            assert float(line[1]) <= before["instructions_per_element_and_state"] / (2 if dtype == "fp32" else 1.9)


def test_triton_is_not_chosen_without_a_gpu():
    if not torch.cuda.is_available():
        assert "CUDA device" in scan_triton.unavailable()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("state", [1, 4, 16])
@pytest.mark.parametrize("size", [(2, 64, 64, 192), (1, 33, 47, 80), (4, 8, 8, 640)])
def test_agrees_with_reference_on_a_gpu(size, state):
    tensors = [t.detach().cuda() for t in map_problem(*size, state, decay=float(state))]
    inputs, index = flat(tensors), scan_index("cross", *size[1:3], "cuda")
    grad = torch.randn_like(inputs[0])
    exact = ScanArgs(*(t.double() for t in inputs))
    y, states = scan_reference.forward(exact, index, True, True)
    grads = scan_reference.backward(grad.double(), exact, index, True, states)
    own_y, own_states = scan_triton.forward(inputs, index, True, True)
    own_grads = scan_triton.backward(grad, inputs, index, True, own_states)
    assert relative_error(own_y, y) <= FORWARD_TOLERANCE
    for label, own, right in zip(NAMES, own_grads, grads, strict=True):
        assert relative_error(own, right) <= BACKWARD_TOLERANCE, label
    again = scan_triton.backward(grad, inputs, index, True, own_states)
    assert all(torch.equal(a, b) for a, b in zip(own_grads, again, strict=True)), "reproducible"
