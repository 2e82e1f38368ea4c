"""Values and pure transitions: the words of the field, with no I/O, no loop and no clock."""
