"""What a table of the settings is made of: the kinds of values, and the base that keeps text, numbers and switches apart.

Each value also says when a change of it takes effect in a daemon that runs.
"""

from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal, get_args, get_origin

from msgspec import Struct
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    field_validator,
)

from alchemiser.market.schedule import Schedule, parse_schedule
from alchemiser.service.settings_sources import WrittenText

_SPEED_AT_MOST: Final = 100_000

Mode = Literal["embedded", "paper", "live"]
TacticChoice = Literal["ladder", "marketable_limit", "twap", "vwap", "moc", "loc"]


def _moment(value: object) -> Schedule:
    return value if isinstance(value, Schedule) else parse_schedule(str(value))


def _address(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not (separator and host and port.isdecimal() and int(port) <= 65535):
        raise ValueError("expected host:port, for example 127.0.0.1:8080")
    return value


def _url(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if not separator or not rest or scheme not in ("http", "https", "ws", "wss"):
        raise ValueError("expected a URL that begins with https://, http://, wss:// or ws://")
    return value.rstrip("/")


def _speed(value: object) -> Decimal | Literal["leap"]:
    if value == "leap":
        return "leap"
    try:
        speed = Decimal(str(value))
    except InvalidOperation:
        speed = Decimal(0)
    if not speed.is_finite() or not 0 < speed <= _SPEED_AT_MOST:
        raise ValueError(f"expected 'leap' or a number above 0 and up to {_SPEED_AT_MOST}")
    return speed


class When(StrEnum):
    """When the daemon works by a new value that a reload brings."""

    AT_ONCE = "at once"
    NEXT_DECISION = "at the next decision"
    NEXT_START = "at the next start"


class TakesEffect(Struct, frozen=True):
    """When a change of a setting takes effect, and why not sooner; the reason is a half sentence for the operator."""

    when: When
    because: str = ""


AT_ONCE: Final = TakesEffect(When.AT_ONCE)
AT_THE_NEXT_DECISION: Final = TakesEffect(When.NEXT_DECISION)


def at_the_next_start(because: str) -> TakesEffect:
    """Return the mark of a setting that a running daemon cannot change."""
    return TakesEffect(When.NEXT_START, because)


Moment = Annotated[Schedule, PlainValidator(_moment), PlainSerializer(str)]
Speed = Annotated[Decimal | Literal["leap"], PlainValidator(_speed)]
Address = Annotated[str, AfterValidator(_address)]
Url = Annotated[str, AfterValidator(_url)]


class Section(BaseModel):
    """One table of the settings.

    ``takes_effect`` says when a change of its values does; a field whose own says otherwise has a mark in its annotation.
    """

    takes_effect: ClassVar[TakesEffect]

    # The whole tree is compiled once, with the settings; each section for itself would double the time of every start.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _keep_types_apart(cls, value: object, info: ValidationInfo) -> object:
        """Refuse what pydantic would quietly convert: text for a number, true for a count.

        Text from the environment and from secret files was never anything else, and is converted.
        """
        assert info.field_name is not None
        kinds = _kinds(cls.model_fields[info.field_name].annotation)
        if isinstance(value, WrittenText):
            return value.split(",") if tuple in kinds else value
        for part in value if isinstance(value, list | tuple) else (value,):
            if isinstance(part, str) and kinds & _NUMBERS and not kinds & {str, Literal}:
                raise ValueError("expected a number, found text")
            if isinstance(part, str) and kinds == {bool}:
                raise ValueError("expected true or false, found text")
            if isinstance(part, bool) and kinds & _NUMBERS:
                raise ValueError("expected a number, found true or false")
            if not isinstance(part, bool) and kinds == {bool}:
                raise ValueError("expected true or false, found a number")
        return value


_NUMBERS: Final = frozenset({int, float, Decimal})


def _kinds(annotation: Any) -> set[object]:
    """Return the plain types that a field's annotation is made of; ``Literal`` stands for its words."""
    origin = get_origin(annotation)
    if origin is None:
        return {annotation} - {type(None), Ellipsis}
    if origin is Literal:
        return {Literal}
    parts = (get_args(annotation)[0],) if origin is Annotated else get_args(annotation)
    return {kind for part in parts for kind in _kinds(part)} | ({tuple} if origin is tuple else set())
