"""A call that never comes back holds up nobody: not whoever made it, not the next one, not the end of the process."""

import subprocess
import sys
import threading

import pytest

from alchemiser.service.impatient import Impatient

FOR_EVER = """
import asyncio, threading
from alchemiser.service.impatient import Impatient

async def main():
    try:
        await Impatient("drill", seconds=0.01).run(threading.Event().wait)
    except TimeoutError:
        print("left behind")

asyncio.run(main())
"""


async def test_what_is_done_is_returned_and_what_goes_wrong_is_raised() -> None:
    """As if it had been called here; one after the other as often as anybody likes."""
    impatient = Impatient[int]("drill", seconds=60.0)

    def wrong() -> int:
        raise ValueError("it does not work")

    assert await impatient.run(lambda: 1) == 1
    with pytest.raises(ValueError, match="it does not work"):
        await impatient.run(wrong)
    assert await impatient.run(lambda: 2) == 2


async def test_what_hangs_is_left_behind_and_no_second_one_joins_it() -> None:
    """The next call is refused at once until it has come back."""
    go_on = threading.Event()
    impatient = Impatient[bool]("drill", seconds=0.01)

    with pytest.raises(TimeoutError):
        await impatient.run(go_on.wait)
    assert impatient.hangs
    with pytest.raises(TimeoutError, match="an earlier call has not come back"):
        await impatient.run(lambda: True)
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "drill":
            thread.join()

    assert not impatient.hangs


def test_the_end_of_the_process_waits_for_none() -> None:
    """The interpreter joins the threads of a pool; it does not join these."""
    done = subprocess.run([sys.executable, "-c", FOR_EVER], check=True, capture_output=True, text=True, timeout=60)

    assert done.stdout == "left behind\n"
