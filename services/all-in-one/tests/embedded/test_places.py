import stat
from pathlib import Path

import pytest

from thinghub.all_in_one.embedded import keys, places
from thinghub.all_in_one.errors import CannotRun


def test_sockets_stand_in_the_data_directory_when_their_path_is_short(tmp_path: Path) -> None:
    assert places.prepare(tmp_path / "d").sockets == tmp_path / "d" / "run"


def test_sockets_of_a_long_data_directory_stand_in_a_short_private_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    long = tmp_path / ("long" * 30)
    prepared = places.prepare(long)
    try:
        assert len(str(prepared.socket("connection-gateway"))) <= places.SOCKET_PATH_MAX
        assert stat.S_IMODE(prepared.sockets.stat().st_mode) == 0o700
        assert places.prepare(long) == prepared
        assert places.prepare(tmp_path / ("other" * 30)).sockets != prepared.sockets
    finally:
        for directory in (prepared.sockets, places.prepare(tmp_path / ("other" * 30)).sockets):
            directory.rmdir()


def test_a_socket_directory_that_is_a_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = tmp_path / "rt"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    long = tmp_path / ("long" * 30)
    wanted = places.prepare(long).sockets
    wanted.rmdir()
    wanted.symlink_to(tmp_path)
    with pytest.raises(CannotRun, match="belongs to somebody else"):
        places.prepare(long)


def test_a_data_directory_is_used_by_one_at_a_time(tmp_path: Path) -> None:
    sentence = r"Another thinghub up \(process \d+\) uses the data directory"
    with places.locked(tmp_path), pytest.raises(CannotRun, match=sentence), places.locked(tmp_path):
        pass
    with places.locked(tmp_path):
        pass


def test_a_data_directory_that_cannot_be_made_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRun, match="choose another"):
        places.prepare(tmp_path / "file" / "data")


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    home = places.prepare(tmp_path / "d")
    first = keys.ensure_access_key(home)
    master = keys.ensure_master_key(home).read_bytes()
    assert keys.ensure_access_key(home) == first
    assert keys.ensure_master_key(home).read_bytes() == master
    assert len(first.access_key_secret) == 30
    assert {stat.S_IMODE(file.stat().st_mode) for file in home.secrets.iterdir()} == {0o600}
    assert keys.ensure_access_key(places.prepare(tmp_path / "e")) != first
