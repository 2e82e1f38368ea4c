"""The reconciliation catalogue: named cases of our state against the venue's, each compared purely and once through the whole daemon."""
