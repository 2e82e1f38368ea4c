"""The key pair hides itself."""

import traceback

from tests.unit.alpaca.fakes import KEY_ID, SECRET, credentials


def test_no_text_form_shows_the_key() -> None:
    """Neither half is in any text form, nor in a traceback that shows the value."""
    pair = credentials()
    texts = [repr(pair), str(pair), f"{pair}", repr(pair.secret_key), str(pair.key_id)]
    try:
        raise ValueError(pair)
    except ValueError as error:
        texts.append("".join(traceback.format_exception(error)))
    assert not [text for text in texts if KEY_ID in text or SECRET in text]


def test_the_wire_gets_the_key() -> None:
    """What is sent holds both halves."""
    assert credentials().headers() == {"APCA-API-KEY-ID": KEY_ID, "APCA-API-SECRET-KEY": SECRET}
    assert credentials().auth_message() == {"action": "auth", "key": KEY_ID, "secret": SECRET}
