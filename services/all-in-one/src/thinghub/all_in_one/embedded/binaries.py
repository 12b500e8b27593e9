"""Where a wheel keeps its programs, found without importing it: importing one of them warns and touches directories."""

from importlib.util import find_spec
from pathlib import Path

from thinghub.all_in_one.errors import CannotRun


def directory(package: str, *below: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise CannotRun(f"The package {package} is not installed: run make env.")
    return Path(spec.submodule_search_locations[0]).joinpath(*below)
