"""What a GPU's tensor cores multiply: element types, their 2:4 formats, and the rate of each generation.

Sources: NVIDIA A100 and H100 white papers (rates), PTX ISA 9.7.14 (formats and metadata).
"""

from __future__ import annotations

from typing import Literal

Generation = Literal["ampere", "hopper"]

# (N, M) along k; int4 keeps or drops aligned pairs, so its groups are counted in pairs (PTX ISA 9.7.14).
FORMATS = {"fp16": (2, 4), "bf16": (2, 4), "int8": (2, 4), "fp8": (2, 4), "tf32": (1, 2), "int4": (2, 4)}
METADATA_BITS = {"fp16": 1.0, "bf16": 1.0, "int8": 1.0, "fp8": 1.0, "tf32": 2.0, "int4": 0.5}
OUTPUTS = {"fp16": "fp16", "bf16": "bf16", "int8": "int32", "fp8": "fp16", "tf32": "fp32", "int4": "int32"}

# Dense multiply-adds a clock and SM (white papers; wgmma m64n256k16 in 128 clocks, arXiv 2402.13499).
RATES = {
    "ampere": {"fp16": 1024, "bf16": 1024, "tf32": 512, "int8": 2048, "int4": 4096},
    "hopper": {"fp16": 2048, "bf16": 2048, "tf32": 1024, "int8": 4096, "fp8": 4096},
}
