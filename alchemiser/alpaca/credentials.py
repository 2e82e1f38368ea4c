"""The key pair of one account. Both halves hide themselves in every text form; only what goes on the wire sees them."""

from msgspec import Struct
from pydantic import SecretStr


class Credentials(Struct, frozen=True):
    """What proves to the venue who we are."""

    key_id: SecretStr
    secret_key: SecretStr

    def headers(self) -> dict[str, str]:
        """Return the two headers of a REST request."""
        return {"APCA-API-KEY-ID": self.key_id.get_secret_value(), "APCA-API-SECRET-KEY": self.secret_key.get_secret_value()}

    def auth_message(self) -> dict[str, str]:
        """Return the message that authenticates a stream, the same on both streams."""
        return {"action": "auth", "key": self.key_id.get_secret_value(), "secret": self.secret_key.get_secret_value()}
