"""The pseudo-random words that choose pivots, as `accelsim.golden.topk` defines them."""

from amaranth import Mux

from accelsim.golden import topk as golden


def stepped(word):
    """The LFSR's next word."""
    return (word >> 1) ^ Mux(word[0], golden.LFSR_TAPS, 0)
