"""docs/reference/contract.md claims no more and no less than the tables and the tests."""

from pathlib import Path

import pytest

from thinghub.api_gateway.service.table import OPERATIONS
from thinghub.device_protocol.topics import TOPICS
from tools.contract.index import INDEX
from tools.contract.page import ROUTED, render
from tools.contract.served import SERVED

ROOT = Path(__file__).resolve().parents[2]
# Groups of the public API that the page does not list have no operations yet.
NAMES = {name for names in INDEX.values() for name in names}


def test_the_committed_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "reference" / "contract.md").read_text() == render(TOPICS, OPERATIONS), "make reference"


def test_every_public_action_that_the_api_has_is_in_the_index() -> None:
    assert {operation.name for operation in OPERATIONS if operation.rpc} <= NAMES


def test_no_action_is_in_two_groups() -> None:
    assert len(NAMES) == sum(map(len, INDEX.values()))


@pytest.mark.parametrize("pattern", SERVED)
def test_a_topic_that_works_is_in_the_table_and_its_test_in_its_file(pattern: str) -> None:
    served = SERVED[pattern]
    assert pattern in {row.pattern for row in TOPICS}
    assert f"def {served.test}(" in (ROOT / served.file).read_text()


def test_a_topic_that_devices_publish_works_only_if_it_reaches_somebody() -> None:
    assert all(row.category in ROUTED for row in TOPICS if row.up and row.pattern in SERVED)
