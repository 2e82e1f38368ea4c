"""Keeping secrets out of every text that leaves the process.

Settings hold them in a type whose text form hides them. This module is the second net: it knows the values and strikes them out of log
lines, error messages and answers, whatever road they came by.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, SecretStr

MASK: Final = "**********"

SHORTEST_SECRET_CHARACTERS: Final = 6
"""Shorter values are not searched for: they would strike out ordinary words."""


class SecretMasker:
    """Strikes known secrets out of texts and of nested values."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Strike these out too from now on; the longest first, so that one that contains another goes whole."""
        known = {*self._secrets, *(secret for secret in secrets if len(secret) >= SHORTEST_SECRET_CHARACTERS)}
        self._secrets = tuple(sorted(known, key=lambda secret: (-len(secret), secret)))

    def text(self, text: str) -> str:
        """Return ``text`` without any known secret."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def value(self, value: Any) -> Any:
        """Return ``value`` with every text in it masked; mappings and sequences are followed, other types are left as they are."""
        if not self._secrets:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.text(value.decode("utf-8", "backslashreplace"))
        if isinstance(value, Mapping):
            return {self.value(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        return value


def secrets_of(settings: BaseModel) -> Iterator[str]:
    """Yield the plain text of every secret in a settings tree."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, BaseModel):
            yield from secrets_of(value)
        elif isinstance(value, tuple):
            yield from (part.get_secret_value() for part in value if isinstance(part, SecretStr))
