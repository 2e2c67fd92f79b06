"""`sat.array` and `sat.uspe` (an array of one element) for the kit: stimulus, golden's results, latency."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accelsim.golden.floating import canonical
from accelsim.golden.formats import NM
from accelsim.golden.matmul import matmul_nm
from accelsim.units import sat_array as unit
from accelsim.units.sat_array import (
    Fold,
    SatArray,
    pack_fold,
    pack_north,
    unpack_fold,
    unpack_north,
    unpack_west,
)
from accelsim.units.step import pack, unpack
from accelsim.workload import Workload
from accelsim_rtl.entries.sat_slices import pieces
from accelsim_rtl.kit.replay import Replayed
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.sat.array import SatArray as Component

ROUNDS = 2
MOST_STEPS = 12
"""Of a fold of the stimulus."""

Numbers = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def stimulus(parameters: SatArray, generator: np.random.Generator) -> list[Transaction]:
    """Folds of both dataflows, dense and with every N of some M, short and long ones, in any order."""
    patterns = [(1, 1), (1, parameters.group), (min(2, parameters.group), parameters.group)]
    patterns.append((int(generator.integers(1, parameters.group + 1)), parameters.group))
    folds = [(stationary, pattern) for stationary in (False, True) for pattern in patterns] * ROUNDS
    generator.shuffle(folds)
    transactions = []
    for number, (stationary, (kept, group)) in enumerate(folds):
        longest = min(parameters.longest, max(1, MOST_STEPS // (1 if stationary else kept)))
        beats = 1 if number % 5 == 4 else int(generator.integers(1, longest + 1))
        numbers = KINDS[number % len(KINDS)]
        if stationary:
            transactions.append(_weights_stay(parameters, beats, group, generator, numbers))
        else:
            transactions.append(_sums_stay(parameters, beats, int(kept), group, generator, numbers))
    return transactions


def _near(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """As activations and weights are."""
    return generator.normal(0, 1, shape).astype(np.float16)


def _any(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Any finite number: sums of very different magnitudes, subnormals."""
    words = generator.integers(0, 1 << 16, shape, dtype=np.uint16)
    return np.where(words & 0x7C00 == 0x7C00, words & 0x83FF, words).astype(np.uint16).view(np.float16)


def _special(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros of both signs, and now and then infinity or NaN."""
    return generator.choice(
        np.array([0, -0.0, 1, -1, 2**-24, 65504, np.inf, np.nan], np.float16), shape, p=[0.2] * 4 + [0.05] * 4
    )


KINDS: tuple[Numbers, ...] = (_near, _any, _near, _special)


def _sums_stay(
    parameters: SatArray, beats: int, kept: int, group: int, generator: np.random.Generator, numbers: Numbers
) -> Transaction:
    west = _lanes(parameters, numbers(generator, (beats, parameters.rows, group)))
    shape = (beats, kept, parameters.interleave, parameters.cols)
    chosen = np.sort(
        generator.permuted(np.broadcast_to(np.arange(group), (*shape[:1], *shape[2:], group)), axis=-1)[
            ..., :kept
        ]
    )
    indices = np.moveaxis(chosen, -1, 1)
    return {
        "folds": [pack_fold(parameters, Fold(stationary=False, beats=beats, kept=kept))],
        "west": west,
        "north": north_beats(parameters, numbers(generator, shape), indices),
    }


def _weights_stay(
    parameters: SatArray, beats: int, group: int, generator: np.random.Generator, numbers: Numbers
) -> Transaction:
    continued = bool(generator.integers(2))
    shape = (parameters.rows, parameters.cols)
    transaction = {
        "folds": [pack_fold(parameters, Fold(stationary=True, beats=beats, continued=continued))],
        "west": _lanes(parameters, numbers(generator, (beats, parameters.rows, group))),
        "north": north_beats(parameters, numbers(generator, shape), generator.integers(0, group, shape)),
    }
    if continued:
        sums = numbers(generator, (beats, parameters.cols)).astype(np.float32)
        transaction["partials"] = [pack(words, 32) for words in canonical(sums).tolist()]
    return transaction


def replay(parameters: SatArray, workload: Workload, generator: np.random.Generator) -> Replayed:
    """Pieces of the workload's products, as `entries.sat_slices` draws them."""
    drawn, sentence = pieces(parameters, workload, generator)
    transactions = [
        {
            "folds": [pack_fold(parameters, piece.fold)],
            "west": _lanes(parameters, piece.activations),
            "north": north_beats(parameters, piece.values, piece.indices),
        }
        for piece in drawn
    ]
    return Replayed(transactions=transactions, sentence=sentence)


def _lanes(parameters: SatArray, activations: np.ndarray) -> list[int]:
    """Payloads of `west`: (beats, rows, up to `group`) activations, zeros in the lanes that are left."""
    missing = parameters.group - activations.shape[2]
    padded = np.pad(np.ascontiguousarray(activations).view(np.uint16), ((0, 0), (0, 0), (0, missing)))
    return [pack(words, 16) for words in padded.reshape(len(padded), -1).tolist()]


def north_beats(parameters: SatArray, values: np.ndarray, indices: np.ndarray) -> list[int]:
    """Payloads of `north`: (..., cols) weights and their indices."""
    rows = zip(
        np.ascontiguousarray(values).view(np.uint16).reshape(-1, parameters.cols).tolist(),
        indices.reshape(-1, parameters.cols).tolist(),
        strict=True,
    )
    return [pack_north(parameters, *row) for row in rows]


def expected(parameters: SatArray, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Golden's products, a fold at a time."""
    sums: list[np.ndarray] = []
    for transaction in transactions:
        fold = unpack_fold(parameters, transaction["folds"][0])
        west = np.stack([unpack_west(parameters, payload) for payload in transaction["west"]])
        north = [unpack_north(parameters, payload) for payload in transaction["north"]]
        values = np.stack([value for value, _ in north]).view(np.float16)
        indices = np.stack([index for _, index in north])
        with np.errstate(all="ignore"):
            if fold.stationary:
                sums.append(_travelled(parameters, west, values, indices, transaction.get("partials")))
            else:
                sums += _stayed(parameters, fold, west, values, indices)
    return {"sums": [pack(row, 32) for each in sums for row in canonical(each).tolist()]}


def _stayed(parameters, fold: Fold, west, values, indices) -> list[np.ndarray]:
    """Of every slot the sums (rows, cols), the last row first."""
    shape = (fold.beats, fold.kept, parameters.interleave, parameters.cols)
    values, indices = values.reshape(shape), indices.reshape(shape)
    activations = west.transpose(1, 0, 2).reshape(parameters.rows, -1).view(np.float16)
    return [
        matmul_nm(
            activations,
            _code(
                parameters,
                fold.kept,
                values[:, :, slot].transpose(2, 0, 1),
                indices[:, :, slot].transpose(2, 0, 1),
            ),
        )[::-1]
        for slot in range(parameters.interleave)
    ]


def _travelled(parameters, west, values, indices, partials) -> np.ndarray:
    """The sums (beats, cols). Each row's weight is one of its own group of activations."""
    activations = west.reshape(len(west), -1).view(np.float16)
    initial = None
    if partials is not None:
        words = [unpack(payload, 32, parameters.cols) for payload in partials]
        initial = np.array(words, np.uint32).view(np.float32)
    # The first beat is the last row's.
    values, indices = values[::-1].T[..., None], indices[::-1].T[..., None]
    return matmul_nm(activations, _code(parameters, 1, values, indices), initial=initial)


def _code(parameters, kept, values, indices) -> NM:
    """(cols, groups, kept) weights as golden has them."""
    return NM(
        n=kept,
        m=parameters.group,
        length=values.shape[1] * parameters.group,
        values=np.ascontiguousarray(values),
        indices=indices,
    )


def _unit(name: str, sentence: str, presets: dict[str, SatArray]) -> Unit:
    return Unit(
        name=name,
        sentence=sentence,
        presets=presets,
        component=Component,
        model=unit.Model,
        stimulus=stimulus,
        expected=expected,
        replay=replay,
        cycles=lambda parameters, transactions: unit.cycles(
            parameters, [unpack_fold(parameters, each["folds"][0]) for each in transactions]
        ),
        latency=lambda parameters: {
            "steps_per_clock": 1,
            "round_clocks": parameters.round_clocks,
            "fill_clocks_output_stationary": parameters.fill_clocks(stationary=False),
            "fill_clocks_weight_stationary": parameters.fill_clocks(stationary=True),
        },
    )


UNITS = (
    _unit("sat.array", "SAT's array of elements: output or weight stationary, dense or N:M", unit.PRESETS),
    _unit("sat.uspe", "SAT's processing element alone, dense or N:M: an array of one", unit.ELEMENT_PRESETS),
)
