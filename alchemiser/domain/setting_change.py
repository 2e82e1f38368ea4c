"""One setting that a reload changed, as it is journaled, answered and printed."""

import msgspec


class SettingChange(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that differs: both values as text, those of a secret masked, ``None`` where there is none, and when it takes effect."""

    key: str
    before: str | None
    after: str | None
    takes_effect: str
    because: str = ""


def in_words(change: SettingChange) -> str:
    """Return a change in one line, as it is printed and logged."""
    if change.before == change.after:
        return f"{change.key}: another secret, {change.takes_effect}"
    why = f" ({change.because})" if change.because else ""
    return f"{change.key}: {_shown(change.before)} -> {_shown(change.after)}, {change.takes_effect}{why}"


def _shown(value: str | None) -> str:
    return "nothing" if value is None else value
