"""The tutorial, walked through by a script: every file saved, every command run, in a new directory with an empty home."""

from pathlib import Path

import pytest

from tests.component.walk import DOCS, steps, walk

PAGE = DOCS / "tutorial.md"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    """Nobody is left alone with an error on the first day."""
    folder = tmp_path / "empty"
    folder.mkdir()
    walk(PAGE, folder)


def test_the_tutorial_has_files_and_commands() -> None:
    """The script reads the page as a person does."""
    names = [name for name, _ in steps(PAGE) if name]
    commands = [text for name, text in steps(PAGE) if not name]

    assert names == ["strategies/mine.clj", "alchemiser.toml"]
    assert len(commands) > 15
    assert all(command.startswith("alchemiser ") for command in commands)
