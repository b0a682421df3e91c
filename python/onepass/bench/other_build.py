"""A script: this installation's benchmarks with the onepass of another build.

PYTHONPATH names the build; of its package everything is used but its ``onepass.bench``.
"""

import importlib.util
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def _main() -> None:
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != _HERE]
    # An editable install would come before PYTHONPATH.
    sys.meta_path[:] = [f for f in sys.meta_path if "ScikitBuild" not in type(f).__name__]
    import onepass

    ours = importlib.util.spec_from_file_location(
        "onepass.bench", _HERE / "__init__.py", submodule_search_locations=[str(_HERE)]
    )
    assert ours is not None
    assert ours.loader is not None
    package = importlib.util.module_from_spec(ours)
    sys.modules["onepass.bench"] = onepass.bench = package
    ours.loader.exec_module(package)
    from onepass.bench.worker import serve

    serve(int(sys.argv[1]))


if __name__ == "__main__":
    _main()
