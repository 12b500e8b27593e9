"""docs/architecture.md says what the import contracts say, in the same words."""

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
LINTER: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = {contract["id"]: contract for contract in LINTER["contracts"]}


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def table_words(text: str, column: int = 0) -> list[str]:
    """The words of a column, without head and rule."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [line.strip("|").split("|")[column].strip() for line in lines[1:]]


def rooms(layers: list[str]) -> list[str]:
    return re.findall(r"\w+", " ".join(layers))


def test_every_contract_is_on_the_page_by_its_name_and_no_other_is() -> None:
    listed = [line.removeprefix("- ") for line in section("Contracts").splitlines() if line.startswith("- ")]
    assert listed == [contract["name"] for contract in LINTER["contracts"]]


def test_the_rooms_stand_in_the_order_of_the_layers() -> None:
    assert table_words(section("Rooms of a service")) == rooms(CONTRACTS["rooms"]["layers"])


def test_the_arrows_name_the_same_rooms_as_the_contract() -> None:
    arrows = section("Rooms of a service").split("\n    main ->", 1)[1].splitlines()[0]
    words = [word for word in re.findall(r"\w+", "main ->" + arrows) if word not in ("with", "and")]
    assert words == rooms(CONTRACTS["rooms"]["layers"])


def test_every_package_of_the_contracts_is_a_part_on_the_page() -> None:
    named = re.findall(r"`(thinghub\.\w+)`", " ".join(table_words(section("Parts"), 1)))
    assert sorted(named) == sorted(LINTER["root_packages"])


def test_every_service_is_bound_by_the_rooms() -> None:
    services = {
        f"thinghub.{folder.name.replace('-', '_')}" for folder in (ROOT / "services").iterdir() if folder.is_dir()
    }
    assert services == {*CONTRACTS["rooms"]["containers"], *CONTRACTS["all-in-one-rooms"]["containers"]}
