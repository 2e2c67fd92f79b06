"""Products on SAT's machine clock by clock: the array, what feeds it, and where its sums go."""

from __future__ import annotations

import numpy as np

from accelsim.golden.floating import FP16, FP32, convert
from accelsim.units import fifo, sat_array
from accelsim.units.fifo import Fifo
from accelsim.units.sat.buffers import Activations, Feeder, Weights
from accelsim.units.sat.engine import Arrival, Request, Transfer
from accelsim.units.sat.jobs import Product, walks
from accelsim.units.sat.machine import HALF, Machine
from accelsim.units.sat_array import Fold, pack_fold
from accelsim.units.step import Row, pack, unpack
from accelsim.units.walk import addresses

WEST, NORTH = 0, 1


def partials_fifo(parameters: Machine) -> Fifo:
    """Where sums wait for the next fold that adds to them."""
    return Fifo(depth=parameters.depth, bits=2 * parameters.line_bits, memory="block")


class Products:
    """One product after the other; see `accelsim.units.sat.engine` for what it shows and takes."""

    def __init__(self, parameters: Machine) -> None:
        self.parameters = parameters
        self._array = sat_array.Model(parameters)
        self._partials = fifo.Model(partials_fifo(parameters))
        self._west, self._north = Activations(parameters), Weights(parameters)
        self._job: Product | None = None
        self._walks: dict[str, list[int]] = {"west": [], "north": [], "out": []}
        self._slot = self._folds = self._fold_chunk = 0
        # A request of weights that was not taken: it stays, whatever has room meanwhile.
        self._north_waits = False
        self._sum_beat = self._sum_chunk = self._sum_line = 0

    def begin(self, job: Product) -> None:
        """The clock edge behind which a job is under way."""
        self._job, self._feeder = job, Feeder(self.parameters, job)
        # Kept backwards, the next one last.
        self._walks = {
            name: list(addresses(*walk))[::-1] for name, walk in walks(self.parameters, job).items()
        }
        self._folds = job.folds

    @property
    def is_written(self) -> bool:
        """Whether all results have been asked to be written."""
        return not self._walks["out"]

    @property
    def request(self) -> Request | None:
        """What is to be read next, if there is a half for it."""
        job = self._job
        if job is None:
            return None
        if self._walks["west"] and self._west.halves.room and not self._north_waits:
            return Request(WEST, Transfer(self._walks["west"][-1], job.west_lines))
        if self._walks["north"] and (self._slot or self._north.halves.room):
            return Request(NORTH, Transfer(self._walks["north"][-1], job.north_lines))
        return None

    @property
    def write_request(self) -> Transfer | None:
        """Where the next results go."""
        return (
            Transfer(self._walks["out"][-1], self._job.out_lines)
            if self._job and self._walks["out"]
            else None
        )

    @property
    def line(self) -> int | None:
        """Of results, the next one."""
        sums = self._array.offered
        if self._job is None or sums is None or self._goes_on:
            return None
        if not self._job.narrow:
            bits = self.parameters.line_bits
            return sums >> self._sum_line * bits & (1 << bits) - 1
        words = np.array(unpack(sums, 2 * HALF, self.parameters.cols), np.uint32)
        return pack(convert(words, FP32, FP16).tolist(), HALF)

    @property
    def _goes_on(self) -> bool:
        """Whether the next fold adds to the sums that the array offers."""
        job = self._job
        return job is not None and job.stationary and self._sum_chunk != job.chunks - 1

    def step(self, *, asked: bool, arrival: Arrival | None, sends: bool, requests: bool) -> Row:
        """The clock edge, and the probes before it: see `accelsim.units.sat.engine`."""
        job = self._job
        if job is None:
            self._array.step(_IDLE)
            return {"works": 0, "folds": 0}
        goes_on = self._goes_on
        last_line = job.narrow or self._sum_line == 1
        beat, row = self._west.halves, self._north.halves
        offers_weights = row.there and self._feeder.offers_weights
        waiting = self._partials.shown()
        ready = waiting["entering_ready"] if goes_on else int(sends and last_line)
        offered, sums = self._array.offered is not None, self._array.offered or 0
        fold = Fold(
            stationary=job.stationary,
            beats=job.fold_beats,
            kept=job.kept,
            continued=job.stationary and self._fold_chunk > 0,
        )
        array = self._array.step(
            {
                "folds_valid": int(self._folds > 0),
                "folds_payload": pack_fold(self.parameters, fold),
                "west_valid": int(beat.there),
                "west_payload": beat.shown,
                "north_valid": int(offers_weights),
                "north_payload": 0 if self._feeder.is_padding else row.shown,
                "partials_valid": waiting["leaving_valid"],
                "partials_payload": waiting["leaving_payload"],
                "sums_ready": ready,
            }
        )
        self._partials.step(
            {
                "entering_valid": int(offered and goes_on),
                "entering_payload": sums,
                "leaving_ready": array["partials_ready"],
            }
        )
        begins = bool(self._folds and array["folds_ready"])
        self._feed(
            west=bool(beat.there and array["west_ready"]),
            north=bool(offers_weights and array["north_ready"]),
            asked=self.request if asked else None,
            arrival=arrival,
        )
        if begins:
            self._folds -= 1
            self._fold_chunk = (self._fold_chunk + 1) % job.chunks if job.stationary else 0
        if sends:
            self._sum_line = 0 if last_line else 1
        if offered and ready and job.stationary:
            self._sum_beat = (self._sum_beat + 1) % job.beats
            if not self._sum_beat:
                self._sum_chunk = (self._sum_chunk + 1) % job.chunks
        if requests:
            self._walks["out"].pop()
        return {"works": array["works"], "folds": int(begins)}

    def _feed(self, *, west: bool, north: bool, asked: Request | None, arrival: Arrival | None) -> None:
        """What the array takes leaves the buffers; what is asked for has a half, and what arrives a place."""
        job = self._job
        assert job is not None
        frees_west, frees_north = self._feeder.step(west, north)
        fills_west = fills_north = False
        if arrival is not None and arrival.target == WEST:
            fills_west = self._west.take(arrival.line, arrival.last)
        elif arrival is not None:
            fills_north = self._north.take(job, arrival.line, arrival.last)
        request = self.request
        self._north_waits = asked is None and request is not None and request.target == NORTH
        asks_west = asked is not None and asked.target == WEST
        asks_north = asked is not None and asked.target == NORTH
        self._west.halves.step(
            reserves=asks_west, fills=fills_west, place=self._feeder.beat, releases=frees_west
        )
        self._north.halves.step(
            reserves=asks_north and not self._slot,
            fills=fills_north,
            place=self._feeder.row,
            releases=frees_north,
        )
        if asks_west:
            self._walks["west"].pop()
        if asks_north:
            self._walks["north"].pop()
            self._slot = (self._slot + 1) % (1 if job.stationary else self.parameters.interleave)


_IDLE = {
    f"{stream}_{part}": 0
    for stream in ("folds", "west", "north", "partials")
    for part in ("valid", "payload")
} | {"sums_ready": 0}
