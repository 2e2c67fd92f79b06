"""From one CMOS node to another: energy by node and voltage, area by node.

Source: Stillmaker and Baas, "Scaling equations for the accurate prediction of CMOS device performance from
180 nm to 7 nm", Integration 58 (2017): the fitted energy a V^2 + b V + c of each node, and the areas beside
45 nm. Between two nodes both are interpolated; nothing is extrapolated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Node(NamedTuple):
    """A node's energy a V^2 + b V + c, in one unit for all nodes, and its area beside 45 nm."""

    nm: float
    a: float
    b: float
    c: float
    area: float


NODES = (
    Node(7, 0.1776, -0.09097, 0.02447, 0.059),
    Node(10, 0.2068, -0.09311, 0.02375, 0.10),
    Node(14, 0.2363, -0.09675, 0.02239, 0.17),
    Node(16, 0.2958, -0.1241, 0.03024, 0.19),
    Node(20, 0.373, -0.1582, 0.04104, 0.21),
    Node(32, 0.9559, -0.7823, 0.471, 0.46),
    Node(45, 1.103, -0.362, 0.2767, 1.0),
    Node(65, 3.755, -4.398, 1.975, 1.5),
    Node(90, 4.762, -4.781, 2.092, 2.8),
    Node(130, 7.171, -6.709, 2.904, 6.4),
)
SMALLEST, LARGEST = NODES[0].nm, NODES[-1].nm
LOWEST_VOLTS, HIGHEST_VOLTS = 0.5, 1.3


def energy_factor(nm: float, volts: float, from_nm: float, from_volts: float) -> float:
    """How many times the energy of an event at `from_nm` and `from_volts` it takes at `nm` and `volts`."""
    return _energy(nm, volts) / _energy(from_nm, from_volts)


def area_factor(nm: float, from_nm: float) -> float:
    """How many times the area at `from_nm` a circuit takes at `nm`."""
    return _between(nm, [node.area for node in NODES]) / _between(from_nm, [node.area for node in NODES])


def _energy(nm: float, volts: float) -> float:
    return _between(nm, [node.a * volts**2 + node.b * volts + node.c for node in NODES])


def _between(nm: float, values: list[float]) -> float:
    return float(np.interp(nm, [node.nm for node in NODES], values))
