import subprocess
import sys

import pytest

from thinghub.cli.main import main


def test_alone_it_lists_the_commands_with_their_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    assert "admin" in said
    assert "operate the platform's parts" in said


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("thinghub 0.")


def test_a_mistyped_command_is_answered_with_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["amdin"]) == 2
    assert "did you mean admin?" in capsys.readouterr().err


def test_it_is_installed_as_a_command_and_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "thinghub.cli.main", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("thinghub 0.")
