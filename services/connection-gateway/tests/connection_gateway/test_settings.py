"""Settings that nobody can read about are settings that nobody sets."""

from pathlib import Path

from thinghub.common.settings import ServiceSettings
from thinghub.connection_gateway.settings import Settings

README = Path(__file__).resolve().parents[2] / "README.md"
OWN = [name for name in Settings.model_fields if name not in ServiceSettings.model_fields]


def test_every_setting_has_a_meaning() -> None:
    assert [name for name in OWN if not Settings.model_fields[name].description] == []


def test_every_setting_is_in_the_table_of_the_readme() -> None:
    table = README.read_text().split("## Settings\n", 1)[1].split("\n## ", 1)[0]
    assert [name for name in OWN if f"`{name.upper()}`" not in table] == []


def test_without_a_ceiling_nothing_is_refused_for_memory() -> None:
    assert Settings().refuse_above_bytes == 0
