"""Cases of the Triton kernels for the interpreter; run as a script, it prints the result of each case as JSON.

Triton decides at import whether kernels are interpreted, so the cases run in a separate process.
"""

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from scan_cases import NAMES, flat, map_problem, step_by_step

from cdzoo.ops import scan_index, scan_reference, scan_triton, triton_tiles, tune
from cdzoo.ops.args import ScanArgs
from cdzoo.ops.selfcheck import BACKWARD_TOLERANCE, FORWARD_TOLERANCE, relative_error

# batch, length, channels, states, directions, softplus with skip and bias, programs that fill the card. With one program,
# directions are launched one by one; with many, the path is cut into segments of 64 steps. The lengths cross borders of blocks
# and segments.
SHAPES = {
    "one step": (1, 1, 1, 3, 1, True, 1),
    "one state": (2, 7, 5, 1, 2, False, 1),
    "two states": (1, 3, 2, 2, 1, True, 50),
    "four states, three segments": (1, 131, 3, 4, 1, True, 50),
    "one state, two blocks of channels": (1, 3, 130, 1, 1, True, 50),
    "seven states": (1, 6, 35, 7, 2, True, 1),
    "sixteen states, maps of directions": (1, 5, 18, 16, 2, True, 50),
    "sixteen states, two segments": (1, 66, 2, 16, 1, False, 50),
    "sixteen states, one by one": (2, 3, 3, 16, 2, True, 1),
    "thirty-two states": (1, 3, 3, 32, 1, True, 1),
    "sixty-four states": (1, 3, 2, 64, 1, True, 1),
}


def problem(batch, length, channels, state, directions, everything):
    """Return float32 tensors as backends take them, and random paths over the positions."""
    tensors = flat(map_problem(batch, 1, length, channels, state, directions=directions, decay=float(state)))
    gen = torch.Generator().manual_seed(length)
    index = torch.stack([torch.randperm(length, generator=gen) for _ in range(directions)]).int()
    if everything:
        return tensors, index
    return tensors._replace(delta=tensors.delta.abs() * 0.5, D=None, delta_bias=None), index


def run(args, index, softplus, grad, programs):
    """Return the output, the states and the gradients of the kernels."""
    scan_triton._wanted_programs = lambda kernel, device: programs
    y, states = scan_triton.forward(args, index, softplus, True)
    return y, states, scan_triton.backward(grad, args, index, softplus, states)


def errors(found, expected):
    """Return the errors above the tolerances by name."""
    wrong = {}
    y, states, grads = found
    if not relative_error(y, expected[0]) <= FORWARD_TOLERANCE:
        wrong["y"] = relative_error(y, expected[0])
    if expected[1].abs().max() > 0 and not relative_error(states, expected[1]) <= BACKWARD_TOLERANCE:
        wrong["states"] = relative_error(states, expected[1])
    for name, own, right in zip(NAMES, grads, expected[2], strict=True):
        if (own is None) != (right is None):
            wrong[name] = "None"
        elif right is not None and right.abs().max() > 0 and not relative_error(own, right) <= BACKWARD_TOLERANCE:
            wrong[name] = relative_error(own, right)
    return wrong


def against_reference(args, index, softplus, programs):
    grad = torch.randn(args.x.shape, generator=torch.Generator().manual_seed(1))
    exact = ScanArgs(*(None if t is None else t.double() for t in args))
    y, states = scan_reference.forward(exact, index, softplus, True)
    expected = (y, states, scan_reference.backward(grad.double(), exact, index, softplus, states))
    return errors(run(args, index, softplus, grad, programs), expected)


def shape_case(name):
    *sizes, everything, programs = SHAPES[name]
    args, index = problem(*sizes, everything)
    return against_reference(args, index, everything, programs)


def loop_case():
    """The cross-scan of a map against a literal loop, in float64."""
    tensors = map_problem(1, 2, 3, 3, 2, dtype=torch.float64)
    exact = step_by_step(*tensors)
    grad = torch.randn(exact.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grads = torch.autograd.grad(exact, tensors, grad)
    args = ScanArgs(*(t.float() for t in flat(tensors)))
    y, states, own = run(args, scan_index("cross", 2, 3), True, grad.flatten(1, 2).float(), 1)
    shaped = [g.view(right.shape) for g, right in zip(own, grads, strict=True)]
    return errors((y.view(exact.shape), states, shaped), (exact, states.double(), grads))


def steep_case():
    """Large steps and decays, some of them zero: no overflow, and the same values."""
    args, index = problem(1, 9, 2, 2, 2, True)
    rates = args.A * torch.tensor([0.0, 1e4]).view(2, 1, 1)
    return against_reference(args._replace(delta=args.delta * 300, A=rates), index, True, 1)


def storage_case(dtype, programs):
    """Half-precision maps are read and written directly: the result equals fp32 arithmetic on them, rounded once."""
    args, index = problem(1, 5, 3, 4, 2, True)
    half = args._replace(**{name: getattr(args, name).to(dtype) for name in ("x", "delta", "B", "C")})
    full = ScanArgs(*(t.float() for t in half))
    grad = torch.randn(args.x.shape).to(dtype)
    y, _, grads = run(half, index, True, grad, programs)
    wide_y, _, wide = run(full, index, True, grad.float(), programs)
    stored = ("y", "x", "delta", "B", "C")
    # The interpreter truncates to bfloat16, while a GPU rounds.
    allowed = 2**-7 if dtype == torch.bfloat16 else 0.0
    wrong = []
    for name, own, right in zip(("y", *NAMES), (y, *grads), (wide_y, *wide), strict=True):
        if own.dtype != (dtype if name in stored else torch.float32):
            wrong.append(f"{name}: {own.dtype}")
        if ((own - right.to(own.dtype)).abs() > allowed * right.abs()).any():
            wrong.append(name)
    return wrong


def special_case():
    """NaN and infinities occur in the output at the same positions as in `reference`, and NaN in the same gradients."""
    wrong = []
    for place in NAMES:
        for value in (float("nan"), *((float("inf"), float("-inf")) if place in ("x", "delta", "B") else ())):
            args, index = problem(1, 4, 2, 2, 1, True)
            getattr(args, place).view(-1)[-2] = value
            grad = torch.ones_like(args.x)
            right, states = scan_reference.forward(args, index, True, True)
            own, _, grads = run(args, index, True, grad, 1)
            if not torch.equal(own.isnan(), right.isnan()) or not torch.equal(own.isposinf(), right.isposinf()):
                wrong.append(f"{place} = {value}: {own.tolist()} for {right.tolist()}")
            expected = scan_reference.backward(grad, args, index, True, states)
            for name, one, other in zip(NAMES, grads, expected, strict=True):
                if value != value and bool(one.isnan().any()) != bool(other.isnan().any()):
                    wrong.append(f"gradient of {name} with NaN in {place}")
    return wrong


def tiles_case():
    """All tile sizes give the same results."""
    wrong = {}
    for state in (1, 4, 16):
        args, index = problem(1, 5, 2, state, 1, True)
        for number in range(max(len(triton_tiles.candidates(kernel, state, 32)) for kernel in tune.KERNELS)):
            scan_triton.choose = lambda kernel, n, *rest, number=number: triton_tiles.candidates(kernel, n, 32)[: number + 1][-1]
            if found := against_reference(args, index, True, 1):
                wrong[f"{state} states, candidate {number}"] = found
    scan_triton.choose = triton_tiles.choose
    return wrong


def tuning_case():
    """The fastest candidate is stored and used, and tuning leaves no other state."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        device, known = torch.device("cpu"), [triton_tiles.candidates(kernel, 4, 3) for kernel in tune.KERNELS]
        fastest = [1, 0, 1]
        times = iter([float(i != best) for best, tiles in zip(fastest, known, strict=True) for i in range(len(tiles))])
        scan_triton._wanted_programs = lambda kernel, device: 1

        def clock(run):
            run()
            return next(times)

        best = tune.tune(4, 3, torch.float32, device, batch=1, side=1, clock=clock)
        chosen = [triton_tiles.choose(kernel, 4, 3, torch.float32, device) for kernel in tune.KERNELS]
        triton_tiles.cache_file(device).write_text("not JSON")
        triton_tiles.forget()
        damaged = triton_tiles.choose("outputs", 4, 3, torch.float32, device)
        del os.environ["XDG_CACHE_HOME"]
        triton_tiles.forget()
    good = list(best.values()) == fastest and chosen == [known[0][1], known[1][0], known[2][1]] and not triton_tiles.trial
    return [] if good and damaged == known[1][0] else [str(best), str(chosen), str(damaged)]


CASES = {
    **{name: (lambda name=name: shape_case(name)) for name in SHAPES},
    "literal loop": loop_case,
    "steep": steep_case,
    "bfloat16": lambda: storage_case(torch.bfloat16, 1),
    "float16": lambda: storage_case(torch.float16, 50),
    "special values": special_case,
    "tiles": tiles_case,
    "tuning": tuning_case,
}


if __name__ == "__main__":
    import time

    results = {}
    for label, case in CASES.items():
        start = time.perf_counter()
        try:
            results[label] = case()
        except Exception:
            results[label] = traceback.format_exc()
        print(f"{label}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
    print(json.dumps(results))
