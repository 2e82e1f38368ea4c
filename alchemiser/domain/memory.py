"""What a component remembers, as one value: for snapshots, for a hash of the state, and for starting where another process stopped.

A component whose state follows from journaled events alone names a struct in ``memory_type``. Each field of it is an attribute of the
component, with or without a leading underscore; what is no field is wiring and not state. The value shares its parts with the component:
whoever keeps it encodes it at once.
"""

from typing import Any, ClassVar

import msgspec


class Remembering:
    """A component that can say all it remembers, and take up what another has said."""

    memory_type: ClassVar[type[msgspec.Struct]]

    def memory(self) -> Any:
        """Return all that is remembered, as a ``memory_type``."""
        return self.memory_type(**{name: getattr(self, self._attribute(name)) for name in self.memory_type.__struct_fields__})

    def remember(self, memory: Any) -> None:
        """Take up what another component of this kind remembered; what was known before is forgotten."""
        for name in self.memory_type.__struct_fields__:
            setattr(self, self._attribute(name), getattr(memory, name))

    def _attribute(self, name: str) -> str:
        return name if name in vars(self) else f"_{name}"
