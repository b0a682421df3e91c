"""The compiled kernels: what leaves an object file, what is vectorised, what CUDA can compile.

Flags come from CMake (tests/native), so that what is inspected is built as the package is.
"""

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NATIVE = ROOT / "tests" / "native"
X86 = platform.machine() in ("x86_64", "AMD64")
# On x86 the Arm kernels are inspected too, where a cross compiler is there.
ISAS = ("avx512", "avx2", "baseline", "neon") if X86 else ("neon",)

# Variants of objects: source, CMake's build type and what is added to its flags. Without inlining
# and folding, each formula's loop is a function of its own that can be found by name.
ALONE = ["-fno-inline", "-fno-ipa-icf"]
VARIANTS = {
    "release": ("backend.cpp", "Release", []),
    "debug": ("backend.cpp", "Debug", []),
    "alone": ("loops.cpp", "Release", ALONE),
    "scalar": ("loops.cpp", "Release", [*ALONE, "-O1", "-fno-tree-vectorize"]),
}

MAY_NEED = {
    "_ZN7onepass7wait_atERNS_7BarrierEi",  # onepass::wait_at
    "memcpy",
    "memmove",
    "memset",
    "__stack_chk_fail",
    "_GLOBAL_OFFSET_TABLE_",
}


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def output_of(*command: str | Path) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert result.returncode == 0, f"{command} failed:\n{result.stdout}\n{result.stderr}"
    return result.stdout


def formulas(header: str, names: str) -> list[str]:
    """The formulas in a `using names = List<...>` of csrc/math."""
    text = (ROOT / "csrc" / "math" / header).read_text()
    found = re.search(rf"using {names} =\s+List<([^>]*)>", text)
    assert found is not None
    return re.findall(r"\w+", found[1])


RULES = formulas("rules.h", "Rules")
ACTIVATIONS = formulas("activations.h", "Activations")
FUNCTIONS = formulas("functions.h", "Functions")
BINARY = formulas("binary.h", "Binary")
LOSSES = [
    name
    for names in ("ElementwiseLosses", "RowLosses", "SummaryLosses", "BatchLosses")
    for name in formulas("losses.h", names)
]


@dataclass
class Built:
    isa: str
    prefix: str  # of the binary tools
    objects: dict[str, Path]  # variant: object file


@pytest.fixture(scope="module", params=ISAS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    isa = request.param
    folder = tmp_path_factory.mktemp(isa)
    cmake = tool("cmake")
    cross = isa == "neon" and X86
    prefix = "aarch64-linux-gnu-" if cross else ""
    options = ["-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    # As the package is compiled: a cache of the compiler's results then knows its objects.
    launcher = shlex.split(os.environ.get("CMAKE_CXX_COMPILER_LAUNCHER", ""))
    if "ONEPASS_WERROR=ON" in os.environ.get("SKBUILD_CMAKE_DEFINE", ""):
        options.append("-DONEPASS_WERROR=ON")
    if cross:
        tool(f"{prefix}g++")
        if shutil.which("qemu-aarch64") is None:
            tool("qemu-aarch64-static")  # the toolchain file asks for one of them
        options.append(f"-DCMAKE_TOOLCHAIN_FILE={NATIVE / 'aarch64.cmake'}")
    elif not any(map(shutil.which, [os.environ.get("CXX", "c++"), "g++", "clang++"])):
        pytest.skip("no C++ compiler is installed")

    commands = {}
    for build_type in ("Release", "Debug"):
        build = folder / build_type
        output_of(cmake, "-S", NATIVE, "-B", build, f"-DCMAKE_BUILD_TYPE={build_type}", *options)
        for entry in json.loads((build / "compile_commands.json").read_text()):
            if f"-DONEPASS_ISA={isa} " in entry["command"]:
                source = Path(entry["file"]).name
                commands[source, build_type] = shlex.split(entry["command"])

    def compile_variant(name: str) -> Path:
        source, build_type, extra = VARIANTS[name]
        target = folder / f"{name}.o"
        command = list(commands[source, build_type])
        command[command.index("-o") + 1] = str(target)
        output_of(*launcher, *command, *extra)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return Built(
            isa, prefix, dict(zip(VARIANTS, pool.map(compile_variant, VARIANTS), strict=True))
        )


@pytest.mark.parametrize("variant", ["release", "debug"])
def test_object_keeps_to_itself(built: Built, variant: str) -> None:
    """One symbol out and no library function in.

    A weak symbol, or a library's inline function, built for AVX-512 could be the copy that the
    linker keeps for all: an illegal instruction on lesser machines.
    """
    exported, needed = [], set()
    for line in output_of(tool(f"{built.prefix}nm"), built.objects[variant]).splitlines():
        kind, name = line.split()[-2:]
        if kind == "U":
            needed.add(name)
        elif kind.isupper() or kind in "uvwi":
            exported.append((kind, name))
    entry = f"kernels_{built.isa}"
    assert exported == [("T", f"_ZN7onepass{len(entry)}{entry}Ev")]
    assert needed <= MAY_NEED


# A store of a whole vector, and arithmetic on one element or on a whole vector.
STORE = {
    "avx512": r"vmov(?:[au]p[sd]|dq[au]\d*)\s+%zmm\d+,\S*\(",
    "avx2": r"vmov(?:[au]p[sd]|dq[au])\s+%ymm\d+,\S*\(",
    "baseline": r"mov(?:[au]p[sd]|dq[au])\s+%xmm\d+,\S*\(",
    "neon": r"st[rp]\s+q\d+",
}
ONE = {"neon": r"\bf(sqrt|div|mul|add|sub)\s+[sd]\d+"}
ALL = {
    "avx512": r"\bv(sqrt|div|mul|add|sub)p[sd]\s.*%zmm",
    "avx2": r"\bv(sqrt|div|mul|add|sub)p[sd]\s.*%ymm",
    "baseline": r"\b(sqrt|div|mul|add|sub)p[sd]\s",
    "neon": r"\bf(sqrt|div|mul|add|sub)\s+v\d+\.(?:4s|2d)",
}
ONE_X86 = r"\bv?(sqrt|div|mul|add|sub)s[sd]\s"

LOOP = re.compile(
    r"(?:void |auto )?(?:"
    r"(?P<sweep>sweep)<(?P<rule>\w+), (?P<t1>float|double), (?P<plain>true|false)>|"
    r"(?P<kernel>activation_forward|activation_backward|activate|scale_by_derivative)"
    r"<(?P<t2>float|double)>\(.*?operator\(\)<(?P<activation>\w+)>)"
)
Loop = tuple[str, str, str]  # kernel, formula, type


def expected_loops() -> set[Loop]:
    types = ("float", "double")
    kinds = ("plain sweep", "whole sweep")  # without scale, clip and l2, and with them
    loops = {(kind, rule, t) for kind in kinds for rule in RULES for t in types}
    for name in [*ACTIVATIONS, *FUNCTIONS]:
        loops |= {(f"activation_{way}", name, t) for way in ("forward", "backward") for t in types}
        if name in ACTIVATIONS and name != "Linear":  # in a tile nothing is left to do for it
            loops |= {(k, name, t) for k in ("activate", "scale_by_derivative") for t in types}
    return loops


def loops_of(built: Built, variant: str) -> dict[Loop, str]:
    """The machine code of each formula's loop."""
    listing = output_of(
        tool(f"{built.prefix}objdump"), "-dC", "--no-show-raw-insn", built.objects[variant]
    )
    code: dict[Loop, str] = {}
    for block in listing.split("\n\n"):
        head, _, body = block.partition(":\n")
        name = re.sub(r"onepass::|math::|\(anonymous namespace\)::", "", head.partition("<")[2])
        found = LOOP.match(name.replace(f"{built.isa}::", ""))
        if found is not None:
            kind = "plain" if found["plain"] == "true" else "whole"
            key = (
                f"{kind} sweep" if found["sweep"] else found["kernel"],
                found["rule"] or found["activation"],
                found["t1"] or found["t2"],
            )
            code[key] = code.get(key, "") + body
    return code


def scalar_parts(isa: str, code: str) -> set[str]:
    """What is done one element at a time only: the loop's tail may be, its body may not."""
    if re.search(STORE[isa], code) is None:
        return {"store"}
    return set(re.findall(ONE.get(isa, ONE_X86), code)) - set(re.findall(ALL[isa], code))


def skip_unless_gcc(built: Built) -> None:
    comment = output_of(tool(f"{built.prefix}objdump"), "-sj.comment", built.objects["alone"])
    if "GCC" not in comment:
        pytest.skip("written for GCC's symbols")


def test_every_formula_is_vectorised(built: Built) -> None:
    """At the full width of the instruction set, square root and division included."""
    skip_unless_gcc(built)
    code = loops_of(built, "alone")
    assert expected_loops() <= code.keys()
    scalar = {loop: scalar_parts(built.isa, code[loop]) for loop in sorted(expected_loops())}
    assert {loop: parts for loop, parts in scalar.items() if parts} == {}


def test_scalar_loops_are_recognised(built: Built) -> None:
    """What the test above relies on."""
    skip_unless_gcc(built)
    code = loops_of(built, "scalar")
    vectorised = [loop for loop in expected_loops() if not scalar_parts(built.isa, code[loop])]
    assert vectorised == []


def test_formulas_compile_as_device_code(tmp_path: Path) -> None:
    nvcc = tool("nvcc")
    flags = ["-std=c++20", "-arch=sm_90", "-fmad=false", "--keep", f"--keep-dir={tmp_path}"]
    output_of(nvcc, *flags, "-c", NATIVE / "formulas.cu", "-o", tmp_path / "formulas.o")
    code = (tmp_path / "formulas.ptx").read_text()
    # float and double of each formula, the elementary functions together and the circle loss
    formulas_used = sum(map(len, (RULES, ACTIVATIONS, FUNCTIONS, BINARY, LOSSES))) + 2
    assert len(re.findall(r"\.entry\b", code)) == 2 * formulas_used
    # A fused multiply-add would mean a CUDA library function in place of one of ours.
    assert re.search(r"\bfma\.|\bcall\b", code) is None
