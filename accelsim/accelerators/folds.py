"""A GEMM cut into the folds of a systolic array, and into pieces that fit its buffers.

`systolic` and `sat` call `output_stationary` and `weight_stationary`, then `Folds.plan`. A fold is one
pass of the array with everything it holds fixed; its cycles are the closed forms that SCALE-Sim counts
(R rows, C columns, s kept weights for each output, h of them in one processing element):

    output stationary  ceil(m/R) ceil(n/C) folds of  s + R + C - 2
    weight stationary  ceil(s/(hR)) ceil(n/C) folds of  h m + h R + R + C - 2

A fold that loads, streams or drains more than a buffer holds is cut: the pieces add up to the same cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from accelsim.accelerators.base import check_pieces
from accelsim.accelerators.gemm import Array, Gemm
from accelsim.plan import Flags, Integers, Layout, Plan

ACCUMULATOR_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Folds:
    """Pieces in execution order; every array is (pieces,), in cycles or bytes.

    `activations` and `weights` are fetched; `*_give` leave their buffer (later than with this piece, where
    an operand serves several folds). `partials`: sums that come back from memory; `outputs`: sums
    that go there; `resume`: the piece whose partial sums this one continues, or -1. `*_at`: which tile of an
    operand that is, or of the sums, from 0. `*_read`: bytes that leave a buffer for the array, however
    often; `sums_moved`: bytes of sums in and out of their buffer.
    """

    busy: Integers
    activations: Integers
    activations_give: Integers
    weights: Integers
    weights_give: Integers
    partials: Integers
    outputs: Integers
    sums_take: Integers
    sums_give: Integers
    resume: Integers
    activations_at: Integers
    weights_at: Integers
    partials_at: Integers
    outputs_at: Integers
    activations_read: Integers
    weights_read: Integers
    sums_moved: Integers

    @property
    def compute_cycles(self) -> int:
        """Cycles with unlimited memory."""
        return int(self.busy.sum())

    @property
    def traffic_bytes(self) -> int:
        """Bytes fetched and stored, before rounding to bursts."""
        return int((self.activations + self.weights + self.partials + self.outputs).sum())

    def total(self, name: str) -> int:
        """Sum of a column."""
        return int(getattr(self, name).sum())

    def estimate(self, bytes_per_cycle: float) -> float:
        """Cycles if fetch, array and store were three machines in a row, and no less than all the bytes take.

        For a choice between dataflows: neither latency, full buffers nor reads between writes are seen.
        """
        fetched = self.activations + self.weights + self.partials
        ends = np.zeros(self.busy.size)
        for times in (fetched / bytes_per_cycle, self.busy, self.outputs / bytes_per_cycle):
            # A piece begins when it is there and the one before is done.
            done = np.cumsum(times, dtype=np.float64)
            ends = np.maximum.accumulate(ends - (done - times)) + done
        return max(float(ends[-1]), self.traffic_bytes / bytes_per_cycle)

    @classmethod
    def join(cls, parts: Sequence[Folds]) -> Folds:
        """Products one after the other, each on its own operands."""
        check_pieces(sum(part.busy.size for part in parts))
        joined = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)
        }
        pieces = np.cumsum([0] + [part.busy.size for part in parts])
        joined["resume"] = np.concatenate(
            [
                np.where(part.resume < 0, -1, part.resume + begin)
                for part, begin in zip(parts, pieces, strict=False)
            ]
        )
        for operand in (("activations_at",), ("weights_at",), ("partials_at", "outputs_at")):
            tiles = [max(int(getattr(part, name).max()) + 1 for name in operand) for part in parts]
            own = np.repeat(np.cumsum(tiles) - tiles, np.diff(pieces))
            for name in operand:
                joined[name] = joined[name] + own
        return cls(**joined)

    def plan(self, array: Array, burst_bytes: int, layout: Layout | None = None) -> Plan:
        """Rows for the engine. Tiles lie packed in memory in the order in which they are first moved.

        What is fetched again is read where it lies, and sums come back from where they went.
        `layout`: one with further stages, which the caller fills; default that of the array.
        """
        plan = Plan(layout=layout or array.layout(), jobs=self.busy.size)
        plan.busy[:, plan.layout.stage("array")] = self.busy
        plan.whole[:, 1:] = True
        for name, take, give in (
            ("activations", self.activations, self.activations_give),
            ("weights", self.weights, self.weights_give),
            ("outputs", self.sums_take, self.sums_give),
        ):
            plan.take[:, plan.layout.buffer(name)] = take
            plan.give[:, plan.layout.buffer(name)] = give
        jobs, base = np.arange(self.busy.size), 0
        for moves in (
            (("fetch", "weights"),),
            (("fetch", "activations"),),
            (("store", "outputs"), ("fetch", "partials")),
        ):
            bursts = [-(-getattr(self, name) // burst_bytes) for _, name in moves]
            tiles = np.concatenate([getattr(self, f"{name}_at") for _, name in moves])
            places, size = _places(tiles, np.concatenate(bursts))
            for (stage, name), count, begin in zip(moves, bursts, np.split(places, len(moves)), strict=True):
                plan.add_runs(stage, jobs, base + begin * burst_bytes, count, burst_bytes, operand=name)
            base += size * burst_bytes
        resumed = self.resume >= 0
        plan.add_after("fetch", jobs[resumed], "store", self.resume[resumed])
        return plan


def weight_stationary(gemm: Gemm, array: Array) -> Folds:
    """Weights stay; activations stream past them; sums leave at the foot of each column.

    As many columns of folds as the output buffer can sum up share one fetch of the activations (all of
    them, if the activation buffer holds everything). Sums of one column of folds that do not fit
    travel to memory and back between its folds. Raises ValueError if a buffer is too small for two rows.
    A weight passes its buffer on the way into the array.
    """
    slots = -(-gemm.stream // gemm.held)
    k_sizes, n_sizes = _tiles(slots, array.rows), _tiles(gemm.n, array.cols)
    row_bytes = _row_bytes(gemm, k_sizes)
    sums = gemm.m * array.cols * ACCUMULATOR_BYTES
    on_chip = sums <= array.output_buffer
    everything = int(row_bytes.sum()) * gemm.m <= array.activation_buffer
    strip = 2 * int(row_bytes.max()) * gemm.m <= array.activation_buffer
    panel = max(1, array.output_buffer // sums) if on_chip and (strip or everything) else 1
    loads, streams = _weight_stationary_cuts(gemm, array, int(row_bytes.max()), int(n_sizes.max()), on_chip)
    k, n, part, fold = _pieces(k_sizes.size, n_sizes.size, panel, streams.size)

    ends = np.cumsum(streams)[part] * gemm.held
    busy = array.steps(ends - streams[part] * gemm.held, ends, recurrent=gemm.held > 1)
    busy += _paid(fold == 0, array) * loads[part] * gemm.held
    busy += _paid(fold == fold[-1], array) * (part == streams.size - 1) * array.column_drain
    loaded = np.clip(k_sizes[k] - (np.cumsum(loads) - loads)[part], 0, loads[part])
    weights = _bytes(loaded * gemm.held * n_sizes[n], gemm.weight_bits)
    pieces = np.arange(fold.size)
    held = (0 if everything else n // panel) * k_sizes.size + k
    fetched = _shared(
        held * streams.size + part if strip or everything else pieces, streams[part] * row_bytes[k]
    )
    elements = streams[part] * n_sizes[n]
    summed = (
        _shared(n, n_sizes[n] * gemm.m * ACCUMULATOR_BYTES)
        if on_chip
        else _alone(elements * ACCUMULATOR_BYTES)
    )
    final = k == k_sizes.size - 1
    spilled = np.zeros_like(elements) if on_chip else elements * ACCUMULATOR_BYTES
    partials = np.where(k > 0, spilled, 0)
    outputs = np.where(final, _bytes(elements, gemm.output_bits), spilled)
    # Written by each fold, read where the next adds to them and where they leave.
    summed_up = elements * ACCUMULATOR_BYTES * np.where(k > 0, 2, 1)
    return Folds(
        busy=busy,
        activations=fetched[0],
        activations_give=fetched[1],
        weights=weights,
        weights_give=weights,
        partials=partials,
        outputs=outputs,
        sums_take=summed[0],
        sums_give=summed[1],
        resume=np.where((spilled > 0) & (k > 0), pieces - streams.size, -1),
        activations_at=k * streams.size + part,
        weights_at=pieces,
        partials_at=n * streams.size + part,
        outputs_at=(np.where(final, n_sizes.size, 0) + n) * streams.size + part,
        activations_read=_read(streams[part] * row_bytes[k], gemm),
        weights_read=weights,
        sums_moved=summed_up + partials + outputs,
    )


def _row_bytes(gemm: Gemm, k_sizes: Integers) -> Integers:
    """Bytes of one row of activations, for each fold along k."""
    ends = np.minimum(np.cumsum(k_sizes) * gemm.held, gemm.stream)
    begins = ends - np.minimum(k_sizes * gemm.held, ends)
    return _bytes(gemm.covered(begins, ends), gemm.fetched_bits)


def _weight_stationary_cuts(
    gemm: Gemm, array: Array, row_bytes: int, columns: int, on_chip: bool
) -> tuple[Integers, Integers]:
    """Rows of weights loaded and rows of activations streamed by each piece of a fold."""
    rows = array.activation_buffer // 2 // row_bytes
    if not on_chip:
        rows = min(rows, array.output_buffer // 2 // (array.cols * ACCUMULATOR_BYTES))
    _require(rows >= 1, "activation_buffer and output_buffer must hold two rows of a fold", array)
    row_of_weights = int(_bytes(np.array(gemm.held * columns), gemm.weight_bits))
    load = min(array.rows, array.weight_buffer // 2 // row_of_weights)
    _require(load >= 1, "weight_buffer must hold two rows of a fold", array)
    return _overlap(_tiles(array.rows, load), _tiles(gemm.m, rows))


def output_stationary(gemm: Gemm, array: Array) -> Folds:
    """Sums stay; activations enter at the rows and weights at the columns.

    Strips of one operand stay in their buffer for a block of folds while strips of the other pass; which
    operand stays is decided by the traffic. Raises ValueError if a buffer is too small for two groups.
    """
    candidates = [_output_stationary(gemm, array, activations_stay=stay) for stay in (True, False)]
    return min(candidates, key=lambda folds: folds.traffic_bytes)


def _output_stationary(gemm: Gemm, array: Array, *, activations_stay: bool) -> Folds:
    m_sizes, n_sizes = _tiles(gemm.m, array.rows), _tiles(gemm.n, array.cols)
    streams, drains, shares = _output_stationary_cuts(gemm, array)
    activation_strip = _bytes(np.array(array.rows * gemm.k), gemm.fetched_bits)
    weight_strip = _bytes(np.array(array.cols * gemm.stream), gemm.weight_bits)
    activations_fit = array.activation_buffer // 2 // int(activation_strip)
    weights_fit = array.weight_buffer // 2 // int(weight_strip)
    if activations_stay:
        n, m, part, fold = _pieces(n_sizes.size, m_sizes.size, max(1, activations_fit), streams.size)
        block = m // max(1, activations_fit)
    else:
        m, n, part, fold = _pieces(m_sizes.size, n_sizes.size, max(1, weights_fit), streams.size)
        block = n // max(1, weights_fit)
    pieces = np.arange(fold.size)

    ends = np.cumsum(streams)[part]
    begins = ends - streams[part]
    busy = array.steps(begins, ends, recurrent=True) + _paid(fold == fold[-1], array) * drains[part]
    activations = _bytes(m_sizes[m] * gemm.covered(begins, ends), gemm.fetched_bits)
    weights = _bytes(n_sizes[n] * streams[part], gemm.weight_bits)
    # The operand that stays is fetched once, the other once a block.
    activation_ids = (0 if activations_stay else block) * m_sizes.size + m
    weight_ids = (block if activations_stay else 0) * n_sizes.size + n
    fetched = _shared(activation_ids * streams.size + part if activations_fit else pieces, activations)
    weights_fetched = _shared(weight_ids * streams.size + part if weights_fit else pieces, weights)
    # Sums wait in the array; they pass the output buffer while it drains.
    share = part - (streams.size - shares)
    drained = m_sizes[m] * n_sizes[n] * np.array([share, share + 1]) // shares
    elements = np.where(share >= 0, drained[1] - drained[0], 0)
    nothing = np.zeros_like(elements)
    outputs = _bytes(elements, gemm.output_bits)
    return Folds(
        busy=busy,
        activations=fetched[0],
        activations_give=fetched[1],
        weights=weights_fetched[0],
        weights_give=weights_fetched[1],
        partials=nothing,
        outputs=outputs,
        sums_take=elements * ACCUMULATOR_BYTES,
        sums_give=elements * ACCUMULATOR_BYTES,
        resume=nothing - 1,
        activations_at=m * streams.size + part,
        weights_at=n * streams.size + part,
        partials_at=nothing,
        outputs_at=pieces,
        activations_read=_read(activations, gemm),
        weights_read=weights,
        sums_moved=elements * ACCUMULATOR_BYTES + outputs,
    )


def _output_stationary_cuts(gemm: Gemm, array: Array) -> tuple[Integers, Integers, int]:
    """Steps streamed and cycles drained by each piece of a fold, and in how many pieces the sums leave."""
    activations = int(_bytes(np.array(array.rows * gemm.group), gemm.fetched_bits))
    weights = int(_bytes(np.array(array.cols * gemm.kept), gemm.weight_bits))
    groups = min(array.activation_buffer // 2 // activations, array.weight_buffer // 2 // weights)
    _require(
        groups >= 1, "activation_buffer and weight_buffer must hold two groups of each row and column", array
    )
    _require(array.output_buffer >= 2 * ACCUMULATOR_BYTES, "output_buffer must hold two sums", array)
    sums = array.rows * array.cols * ACCUMULATOR_BYTES
    shares = 1 if sums <= array.output_buffer else -(-sums // (array.output_buffer // 2))
    drains = np.diff(array.drain * np.arange(shares + 1) // shares)
    return *_overlap(_tiles(gemm.stream, groups * gemm.kept), drains), shares


def _tiles(size: int, limit: int) -> Integers:
    """Sizes of the tiles of `size` elements, all `limit` but the last."""
    check_pieces(-(-size // limit))
    sizes = np.full(-(-size // limit), limit, np.int64)
    sizes[-1] = size - limit * (sizes.size - 1)
    return sizes


def _overlap(first: Integers, second: Integers) -> tuple[Integers, Integers]:
    """Two sequences as columns of one: the last of `first` stands beside the first of `second`."""
    return (
        np.concatenate([first, np.zeros(second.size - 1, np.int64)]),
        np.concatenate([np.zeros(first.size - 1, np.int64), second]),
    )


def _pieces(passes: int, tiles: int, panel: int, parts: int) -> tuple[Integers, Integers, Integers, Integers]:
    """(pass, tile, part, fold) of every piece: panels of tiles, then passes, then the tiles of the panel."""
    check_pieces(passes * tiles * parts)
    a_pass, tile = (grid.ravel() for grid in np.indices((passes, tiles)))
    order = np.lexsort((tile, a_pass, tile // panel))
    fold = np.repeat(np.arange(order.size), parts)
    return a_pass[order][fold], tile[order][fold], np.tile(np.arange(parts), order.size), fold


def _shared(ids: Integers, sizes: Integers) -> tuple[Integers, Integers]:
    """Bytes taken by the first piece that names an id, and given back by the last."""
    _, first = np.unique(ids, return_index=True)
    _, from_end = np.unique(ids[::-1], return_index=True)
    take, give = np.zeros_like(sizes), np.zeros_like(sizes)
    take[first] = sizes[first]
    give[ids.size - 1 - from_end] = sizes[first]
    return take, give


def _places(tiles: Integers, bursts: Integers) -> tuple[Integers, int]:
    """Where each tile begins, packed in the order of their first bursts, and how many bursts all have."""
    moved = np.flatnonzero(bursts)
    first = np.zeros(int(tiles.max()) + 1, np.int64)
    # Of several numbers written to one place the last one stays.
    first[tiles[moved[::-1]]] = moved[::-1]
    new = np.where((first[tiles] == np.arange(tiles.size)) & (bursts > 0), bursts, 0)
    return (np.cumsum(new) - new)[first[tiles]], int(new.sum())


def _alone(sizes: Integers) -> tuple[Integers, Integers]:
    """Bytes that every piece takes and gives back by itself."""
    return sizes, sizes


def _bytes(elements: Integers, bits: float) -> Integers:
    return np.asarray(-(-elements * bits // 8), np.int64)


def _read(fetched: Integers, gemm: Gemm) -> Integers:
    """Bytes that the array reads of what was fetched."""
    return fetched if gemm.fetch_share == 1 else np.asarray(np.ceil(fetched / gemm.fetch_share), np.int64)


def _paid(outermost: Flags, array: Array) -> Flags:
    """Where fill or drain is paid: at every fold, or only at the outermost if they overlap."""
    return outermost if array.overlapped else np.ones_like(outermost)


def _require(holds: bool, message: str, array: Array) -> None:
    if not holds:
        raise ValueError(
            f"{message} of an array of {array.rows} x {array.cols}, not activation_buffer="
            f"{array.activation_buffer}, weight_buffer={array.weight_buffer}, "
            f"output_buffer={array.output_buffer}"
        )
