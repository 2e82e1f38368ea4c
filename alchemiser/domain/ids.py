"""Names of things that must be the same after a restart: rebalances, intents and client order ids.

Every id is a pure function of what it names, so that a second run of the same decision recognises the first.
"""

import re
from datetime import date
from functools import lru_cache

_OPENING = re.compile(r"[0-9a-z]{1,8}-\d{8}\.\d{1,4}-")
_ENDING = re.compile(r"[A-Za-z0-9./]{1,14}-\d{1,4}")


@lru_cache(maxsize=16)
def session_id(session: date) -> str:
    """Return how a session is written in ids, for example ``20250303``."""
    return str(session.year * 10_000 + session.month * 100 + session.day)


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
    """Return the id under which one attempt of one intent is sent: readable, at most 42 characters, never reused.

    ``epoch`` names the account's journal, ``intent`` is the intent's id within the rebalance, ``attempt`` counts from 1.
    Raises ``ValueError`` when a part would make the id ambiguous or too long.
    """
    opening, ending = _opening(epoch, rebalance), _ending(intent, attempt)
    if attempt < 1 or opening is None or ending is None:
        raise ValueError(f"'{epoch}-{rebalance}-{intent}-{attempt}' is not a usable client order id")
    return opening + ending


def split_client_order_id(text: str) -> tuple[str, str, str, int] | None:
    """Return (epoch, rebalance, intent, attempt) of one of our ids, or ``None`` for an id that is not ours."""
    parts = text.split("-")
    if len(parts) != 4:
        return None
    epoch, rebalance, intent, attempt = parts
    if _opening(epoch, rebalance) is None or _ending(intent, attempt) is None:
        return None
    return epoch, rebalance, intent, int(attempt)


def rebalance_within(own_id: str) -> str:
    """Return the rebalance of an order of ours, whose id is one; :func:`rebalance_of` takes any id."""
    return own_id.split("-", 2)[1]


@lru_cache(maxsize=4_096)
def rebalance_of(client_order_id: str) -> str | None:
    """Return the rebalance that one of our orders belongs to, or ``None`` for an order that is not ours."""
    parts = split_client_order_id(client_order_id)
    return None if parts is None else parts[1]


# The halves are looked at apart: every order of a rebalance begins like the others, and every rebalance has the same intents.


@lru_cache(maxsize=1_024)
def _opening(epoch: str, rebalance: str) -> str | None:
    text = f"{epoch}-{rebalance}-"
    return text if _OPENING.fullmatch(text) else None


@lru_cache(maxsize=4_096)
def _ending(intent: str, attempt: int | str) -> str | None:
    text = f"{intent}-{attempt}"
    return text if _ENDING.fullmatch(text) else None
