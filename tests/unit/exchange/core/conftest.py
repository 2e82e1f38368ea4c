"""The stages that the tests of the core play on."""

import pytest

from tests.unit.exchange.core.scene import Scene


@pytest.fixture
def scene() -> Scene:
    """Half an hour into Monday's session, TECL quoted 99.98 by 100.02, five hundred shares on each side."""
    made = Scene()
    made.quote()
    return made
