"""Compile Triton kernels for GPUs that are not present and count the machine instructions that a thread executes.

Registers, spills and shared memory come from ``cuobjdump --dump-resource-usage``, instructions from ``cuobjdump -sass``; both
programs are part of the Triton package. A loop of the machine code is matched to a loop of the source by its number of
``MUFU.EX2`` instructions (one per exponential), which also gives the factor by which the compiler unrolled it. Instructions
outside of loops count once and both sides of a forward branch count, so a count is an upper bound.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
_INSTRUCTION = re.compile(r"^\s+/\*([0-9a-f]{4,6})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)([^;]*);", re.M)
_RESOURCES = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")


@dataclass(frozen=True)
class Loop:
    """A loop of the source.

    Attributes:
        turns: Number of iterations per entry.
        exponentials: Exponentials that one thread computes in one iteration, without those of inner loops.
        inner: Loops inside, in program order.
        fewest: Smallest number of exponentials that the compiler may leave by reusing results; None for `exponentials`.
    """

    turns: int
    exponentials: int
    inner: tuple[Loop, ...] = ()
    fewest: int | None = None


@dataclass
class MachineLoop:
    """A loop of the machine code, from the target of a backward branch to the branch."""

    start: int
    end: int
    inner: list[MachineLoop] = field(default_factory=list)
    own: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Compiled:
    """Result of compiling a kernel for one target."""

    registers: int
    stack: int
    shared: int
    spills: int
    instructions: list[tuple[int, str, str]]


def compile_kernel(
    kernel: Any,
    types: dict[str, str],
    constants: dict[str, Any],
    capability: int,
    warps: int,
    aligned: tuple[str, ...] = (),
    max_registers: int | None = None,
) -> Compiled:
    """Compile a kernel as the just-in-time compiler would.

    Args:
        kernel: Function decorated with ``triton.jit``.
        types: Type of each argument that is not a constant, such as ``"*fp32"`` or ``"i32"``.
        constants: Values of the ``tl.constexpr`` arguments, and of those specialized to 1.
        capability: Compute capability, such as 90.
        warps: Warps per program.
        aligned: Arguments known to be divisible by 16; pointers always are.
        max_registers: Limit on the registers of a thread; None for the compiler's choice.
    """
    signature = {name: "constexpr" if name in constants else types[name] for name in kernel.arg_names}
    known = [i for i, (name, kind) in enumerate(signature.items()) if kind.startswith("*") or name in aligned]
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={(kernel.arg_names.index(name),): value for name, value in constants.items()},
        attrs={(i,): [["tt.divisibility", 16]] for i in known},
    )
    options = {"num_warps": warps} | ({} if max_registers is None else {"maxnreg": max_registers})
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        resources, code = (_tool("cuobjdump", flag, file.name) for flag in ("--dump-resource-usage", "-sass"))
    registers, stack, shared, local = map(int, _RESOURCES.search(resources).groups())
    found = [(int(at, 16), op, rest) for at, op, rest in _INSTRUCTION.findall(code)]
    spills = sum(op.startswith(("STL", "LDL")) for _, op, _ in found)
    return Compiled(registers, stack + local, shared + compiled.metadata.shared, spills, found)


def _tool(name: str, *words: str) -> str:
    return subprocess.run([str(TOOLS / name), *words], capture_output=True, text=True, check=True).stdout


def machine_loops(instructions: list[tuple[int, str, str]]) -> MachineLoop:
    """Return the whole program as a loop of one turn whose inner loops are nested as in the machine code."""
    # A branch to itself ends the code; only padding follows.
    last = next(at for at, op, rest in instructions if op == "BRA" and rest.strip() == f"{at:#x}")
    body = [(at, op, rest) for at, op, rest in instructions if at < last]
    ends: dict[int, int] = {}
    for at, op, rest in body:
        target = re.search(r"0x([0-9a-f]+)", rest)
        if op.startswith("BRA") and target and int(target[1], 16) < at:
            ends[int(target[1], 16)] = max(at, ends.get(int(target[1], 16), 0))
    top = MachineLoop(-1, last)
    for start, end in sorted(ends.items(), key=lambda pair: (pair[0], -pair[1])):
        parent = top
        while nested := next((loop for loop in parent.inner if loop.start <= start and end <= loop.end), None):
            parent = nested
        parent.inner.append(MachineLoop(start, end))
    for at, op, _ in body:
        loop = top
        while nested := next((inner for inner in loop.inner if inner.start <= at <= inner.end), None):
            loop = nested
        loop.own[op] += 1
    return top


def executed(program: MachineLoop, loops: tuple[Loop, ...]) -> Counter[str]:
    """Return how many instructions of each kind a thread executes.

    Raises:
        ValueError: The loops of the machine code cannot be matched to those of the source.
    """
    total = next(_match(program.inner, loops), None)
    if total is None:
        shape = [(loop.own["MUFU.EX2"], [inner.own["MUFU.EX2"] for inner in loop.inner]) for loop in program.inner]
        raise ValueError(f"cannot match machine loops with exponentials {shape} to {loops}")
    return program.own + total


def _match(found: list[MachineLoop], loops: tuple[Loop, ...]) -> Iterator[Counter[str]]:
    """Yield the counts of every way to assign sibling machine loops, in order, to source loops.

    A source loop becomes one machine loop; or an unrolled one and one for the remaining turns; or none, if it was unrolled in
    full. A machine loop without exponentials that no source loop accounts for, such as one around a wait, counts once.
    """
    if not loops:
        if all(loop.own["MUFU.EX2"] == 0 and not loop.inner for loop in found):
            yield sum((loop.own for loop in found), Counter())
        return
    first, rest = loops[0], loops[1:]
    for taken in (1, 2, 0):
        parts = found[:taken]
        factors = [_factor(part, first) for part in parts]
        if len(parts) < taken or None in factors:
            continue
        left, count, valid = first.turns, Counter(), True
        for part, factor in zip(parts, factors, strict=True):
            turns, left = divmod(left, factor)
            inner = next(_match(part.inner, first.inner * factor), None)
            valid = valid and inner is not None
            for op, number in (part.own + (inner or Counter())).items():
                count[op] += number * turns
        if valid and (left == 0 or not parts):
            for others in _match(found[taken:], rest):
                yield count + others


def _factor(part: MachineLoop, loop: Loop) -> int | None:
    """Return how many turns of a source loop one turn of a machine loop makes; None if they do not fit."""
    exponentials = part.own["MUFU.EX2"]
    if loop.exponentials == 0:
        return 1 if exponentials == 0 else None
    if loop.fewest is not None and loop.fewest <= exponentials <= loop.exponentials:
        return 1
    return exponentials // loop.exponentials if exponentials and exponentials % loop.exponentials == 0 else None
