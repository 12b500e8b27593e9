import xml.etree.ElementTree as ElementTree

from hypothesis import given
from hypothesis import strategies as st

from thinghub.api_gateway.entrypoints.xml import render


def test_lists_repeat_their_name() -> None:
    text = render("R", {"List": {"Info": [{"A": 1}, {"A": 2}]}, "Ok": True, "Empty": []}).decode()
    assert text.endswith("<R><List><Info><A>1</A></Info><Info><A>2</A></Info></List><Ok>true</Ok></R>")


@given(st.text())
def test_any_text_makes_well_formed_xml(text: str) -> None:
    legal = [c for c in text if c in "\t\n" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"]
    root = ElementTree.fromstring(render("R", {"T": text}))
    if len(legal) == len(text):
        assert (root.findtext("T") or "") == text
