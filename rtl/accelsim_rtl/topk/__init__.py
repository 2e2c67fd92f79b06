"""The top-k engine of SpAtten in hardware: `TopK` puts the other files together."""

from accelsim_rtl.topk.engine import TopK

__all__ = ["TopK"]
