"""What is decided and seen in an attention layer: the arrays of an `Attention`."""

from __future__ import annotations

import numpy as np

SCORE_ONE = 4096  # a probability of 1
VECTOR_ONE = 256  # an element of 1 of a recorded query or key; beyond +-128 it saturates

# Type, axes and largest value of each decision of an Attention; None: every value of the type.
DECISIONS: dict[str, tuple[type[np.generic], tuple[str, ...], int | str | None]] = {
    "values": (np.int32, ("batch", "heads", "queries"), "keys"),
    "refetch": (np.bool_, ("batch", "heads", "queries"), None),
    "score_rows": (np.int32, ("scored",), None),
    "scores": (np.uint16, ("batch", "heads", "scored", "keys"), SCORE_ONE),
    "tokens": (np.int32, ("batch", "keys"), None),
    "token_scores": (np.uint32, ("batch", "keys"), None),
    "head_ids": (np.int32, ("heads",), None),
    "head_scores": (np.uint32, ("heads",), None),
    "query_vectors": (np.int16, ("batch", "heads", "scored", "dim"), None),
    "key_vectors": (np.int16, ("batch", "kv_heads", "keys", "dim"), None),
}

# What was recorded of the unpruned model beside its shape: no decision, so it stays.
SEEN = ("scores", "score_rows", "query_vectors", "key_vectors")
