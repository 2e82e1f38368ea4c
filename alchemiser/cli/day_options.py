"""How a day is read from the command line; apart from the other options, which load all settings."""

from datetime import date

from alchemiser.domain.errors import UsageError


def day_named(option: str, text: str) -> date:
    """Return the day that an option names. Raises ``UsageError`` when it is not one."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: expected a date like 2025-03-03 ({error})") from error


def read_day(option: str, text: str | None) -> date | None:
    """Return the day that an option names, ``None`` where it is not given. Raises ``UsageError`` when it is not one."""
    return None if text is None else day_named(option, text)
