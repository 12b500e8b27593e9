from pathlib import Path

DECISIONS = Path(__file__).resolve().parents[2] / "docs" / "decisions"


def test_the_index_lists_every_page_with_its_date() -> None:
    index = (DECISIONS / "README.md").read_text()
    for page in DECISIONS.glob("2*.md"):
        title = page.read_text().splitlines()[0]
        day = page.name[:10]
        assert title.startswith(f"# {day}: ")
        assert f"| {day} | [{title.removeprefix(f'# {day}: ')[:1].upper()}" in index
        assert f"]({page.name}) |" in index
