"""Many variants of a strategy: what may change, evaluating them on all cores or on a cluster, ranking them, and walking forward."""
