"""Widths and layouts that the parameters of the engine imply."""

from amaranth.lib import data

from accelsim.golden.topk import LFSR_BITS


class Shapes:
    """Of an engine with parameters `accelsim.units.topk.TopK`."""

    def __init__(self, parameters):
        self.width, self.bits = parameters.width, parameters.bits
        self.lines = parameters.lines
        self.line_bits = (self.lines - 1).bit_length()
        self.lane_bits = (self.width - 1).bit_length()
        self.index_bits = self.line_bits + self.lane_bits
        """Also of a number of elements less one."""
        self.count_bits = parameters.capacity.bit_length()
        # Quick-select drops an element a pass or more; radix passes are as many as there are digits.
        passes = parameters.digits if parameters.engine == "radix" else parameters.capacity
        self.pass_bits = max(self.count_bits, passes.bit_length())
        self.score_lanes = data.ArrayLayout(self.bits, self.width)
        self.request = data.StructLayout(
            {"count": self.count_bits, "keep": self.count_bits, "row_id": LFSR_BITS}
        )
        self.scores = data.StructLayout({"scores": self.score_lanes})
        self.threshold = data.StructLayout({"kth": self.bits, "quota": self.count_bits})
        self.kept = data.StructLayout(
            {
                "scores": self.score_lanes,
                "indices": data.ArrayLayout(self.index_bits, self.width),
                "count": self.width.bit_length(),
                "last": 1,
            }
        )
