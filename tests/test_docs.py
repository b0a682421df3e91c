"""Every example in the documentation runs."""

import doctest
import importlib
import pkgutil
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import onepass

ROOT = Path(__file__).parent.parent
EXAMPLES = [
    pytest.param(block, id=f"{path.name}-{number}")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md")
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.S), 1)
]


def modules():
    names = [info.name for info in pkgutil.walk_packages(onepass.__path__, "onepass.")]
    modules = [name for name in names if not name.endswith(("._core", ".__main__"))]
    return [name for name in modules if not name.startswith("onepass.lib")]  # of tests, no modules


@pytest.mark.parametrize("code", EXAMPLES)
def test_example_in_documents(code):
    if "import torch" in code:
        pytest.importorskip("torch")
    exec(compile(code, "example", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings(name):
    if name.startswith("onepass.torch"):
        pytest.importorskip("torch")
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


# Where CONTRIBUTING.md says that a new formula's name goes.
LISTS = {"activations": ("activations.h", "Sign>"), "rules": ("rules.h", "AdamHd>")}
HEADERS = re.findall(
    r"```cpp\n// (csrc/math/(\w+)/\w+\.h)\n(.*?)```",
    (ROOT / "CONTRIBUTING.md").read_text(),
    re.S,
)


def test_formula_headers_in_contributing_compile(tmp_path):
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    assert len(HEADERS) == 2
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    for path, kind, code in HEADERS:
        (tmp_path / path).write_text(code)
        name = re.search(r"struct (\w+)", code)[1]
        listing, last = LISTS[kind]
        header = tmp_path / "csrc" / "math" / listing
        text = header.read_text()
        assert last in text
        text = text.replace(last, f"{last[:-1]}, {name}>")
        header.write_text(text.replace("#pragma once", f'#pragma once\n#include "{path[10:]}"', 1))
    source = tmp_path / "csrc" / "cpu" / "backend.cpp"
    command = [compiler, "-std=c++20", f"-I{source.parent}", "-fsyntax-only", "-Wall", "-Wextra"]
    subprocess.run(
        [*command, "-Werror", "-Wno-psabi", "-DONEPASS_ISA=baseline", str(source)], check=True
    )
