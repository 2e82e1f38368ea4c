"""Names of things that must be the same after a restart: rebalances, intents and client order ids.

Every id is a pure function of what it names, so that a second run of the same decision recognises the first.
"""

import re
from datetime import date
from functools import lru_cache

MAX_CLIENT_ORDER_ID_CHARACTERS = 48
"""Our own bound; the venue takes 128."""

_PATTERN = re.compile(r"(?P<epoch>[0-9a-z]{1,8})-(?P<rebalance>\d{8}\.\d{1,4})-(?P<intent>[A-Za-z0-9./]{1,14})-(?P<attempt>\d{1,4})")


@lru_cache(maxsize=16)
def session_id(session: date) -> str:
    """Return how a session is written in ids, for example ``20250303``."""
    return session.isoformat().replace("-", "")


def rebalance_id(session: date, number: int) -> str:
    """Return the id of the ``number``-th rebalance (from 1) of a session, for example ``20250303.1``."""
    if number < 1:
        raise ValueError(f"rebalances of a session are counted from 1, not {number}")
    return f"{session_id(session)}.{number}"


FIRST_KILL_NUMBER = 9001
"""From this number on the rebalances of a session are sales of the kill switch, which carries them out by itself."""


def is_of_a_kill(rebalance: str) -> bool:
    """Whether a rebalance is a sale of the kill switch: no handler plans, works or ends it."""
    return int(rebalance.rpartition(".")[2]) >= FIRST_KILL_NUMBER


def client_order_id(epoch: str, rebalance: str, intent: str, attempt: int) -> str:
    """Return the id under which one attempt of one intent is sent: readable, at most 48 characters, never reused.

    ``epoch`` names the account's journal, ``intent`` is the intent's id within the rebalance, ``attempt`` counts from 1.
    Raises ``ValueError`` when a part would make the id ambiguous or too long.
    """
    text = f"{epoch}-{rebalance}-{intent}-{attempt}"
    if attempt < 1 or len(text) > MAX_CLIENT_ORDER_ID_CHARACTERS or split_client_order_id(text) != (epoch, rebalance, intent, attempt):
        raise ValueError(f"{text!r} is not a usable client order id")
    return text


@lru_cache(maxsize=4_096)
def split_client_order_id(text: str) -> tuple[str, str, str, int] | None:
    """Return (epoch, rebalance, intent, attempt) of one of our ids, or ``None`` for an id that is not ours."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        return None
    epoch, rebalance, intent, attempt = match.groups()
    return epoch, rebalance, intent, int(attempt)
