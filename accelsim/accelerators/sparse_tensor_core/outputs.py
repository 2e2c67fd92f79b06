"""Types of the results that libraries write if nobody asks for another."""

from __future__ import annotations

DENSE = {"fp16": "fp16", "bf16": "bf16", "int8": "int32", "fp8": "bf16", "tf32": "fp32", "int4": "int32"}
"""cuBLASLt, as measured in arXiv 2603.05232: INT8 writes INT32."""

SPARSE = {**DENSE, "int8": "bf16"}
"""cuSPARSELt, likewise: INT8 writes BF16."""


def output_type(dtype: str, sparse: bool) -> str:
    """The type of a product's result."""
    return (SPARSE if sparse else DENSE)[dtype]
