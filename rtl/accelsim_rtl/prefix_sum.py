"""Prefix sum: for every lane, how many of the lanes up to it are set.

A network of log2(lanes) layers of adders.
"""


def sum_layer(sums, distance):
    """One layer over inclusive sums: each lane adds that of the lane `distance` below."""
    return [total + sums[lane - distance] if lane >= distance else total for lane, total in enumerate(sums)]
