"""Every example in the documentation runs."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import onepass
import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = [
    pytest.param(block, id=f"{path.name}-{number}")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md")
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.S), 1)
]


def modules():
    names = [info.name for info in pkgutil.walk_packages(onepass.__path__, "onepass.")]
    return [name for name in names if not name.endswith(("._core", ".__main__"))]


@pytest.mark.parametrize("code", EXAMPLES)
def test_example_in_documents(code):
    exec(compile(code, "example", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0
