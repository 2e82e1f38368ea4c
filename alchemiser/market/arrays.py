"""Names for the kinds of arrays, for readers and type checkers.

At run time they are ``Any``: evaluating NumPy's own generic types would load NumPy, which a daemon that only listens does not need yet
(see ``service.deferred``).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    """Prices or other measured numbers."""
    Days = NDArray[np.int64]
    """Days as proleptic ordinals, ``date.toordinal``."""
    Flags = NDArray[np.bool_]
    """Yes or no, per place."""
    Places = NDArray[np.intp]
    """Indices into another array."""
    Numbers = NDArray[np.integer[Any]]
    """Whole numbers of any width."""
else:
    Floats = Days = Flags = Places = Numbers = Any
