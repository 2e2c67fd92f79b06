"""The crossbar: who gets an output, what a lock keeps, and the same clocks by step and at once."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from accelsim.units.crossbar import PRESETS, Crossbar, Model, cycles, issue_cycles
from accelsim.units.step import Row


def drive(
    parameters: Crossbar, streams: Sequence[Sequence[int]], ready: float = 1.0, seed: int = 0
) -> tuple[list[Row], list[list[int]]]:
    """Rows until all is taken, and what each output gave; sinks are ready with that chance."""
    rng = np.random.default_rng(seed)
    model, rows = Model(parameters), []
    sent, taken = [0] * parameters.inputs, [[] for _ in range(parameters.outputs)]  # type: ignore[var-annotated]
    while sum(map(len, taken)) < sum(map(len, streams)):
        inputs = {
            f"granted_{output}_ready": int(rng.random() < ready) for output in range(parameters.outputs)
        }
        for port, stream in enumerate(streams):
            inputs[f"request_{port}_valid"] = int(sent[port] < len(stream))
            inputs[f"request_{port}_payload"] = stream[sent[port]] if sent[port] < len(stream) else 0
        row = model.step(inputs)
        rows.append(row | inputs)
        for port in range(parameters.inputs):
            sent[port] += row[f"request_{port}_ready"] and inputs[f"request_{port}_valid"]
        for output in range(parameters.outputs):
            if row[f"granted_{output}_valid"] and inputs[f"granted_{output}_ready"]:
                taken[output].append(row[f"granted_{output}_payload"])
        assert len(rows) < 5000
    return rows, taken


def drawn(seed: int) -> tuple[Crossbar, list[list[int]]]:
    rng = np.random.default_rng(seed)
    parameters = Crossbar(
        inputs=int(rng.integers(1, 9)),
        outputs=int(rng.integers(1, 7)),
        bits=8,
        position=int(rng.integers(0, 4)),
        input_depth=int(rng.choice([0, 1, 2, 5])),
        output_depth=int(rng.choice([0, 0, 1, 3])),
    )
    counts = rng.integers(0, 20, parameters.inputs)
    return parameters, [rng.integers(0, 256, count).tolist() for count in counts]


@pytest.mark.parametrize("seed", range(60))
def test_cycles_are_those_of_step(seed: int) -> None:
    parameters, streams = drawn(seed)
    assert cycles(parameters, streams) == len(drive(parameters, streams)[0])


@pytest.mark.parametrize("seed", range(60))
def test_every_beat_leaves_once_in_order_where_it_belongs(seed: int) -> None:
    parameters, streams = drawn(seed)
    _, taken = drive(parameters, streams, ready=0.4, seed=seed)
    for output, beats in enumerate(taken):
        for port, stream in enumerate(streams):
            mine = [beat & 0xFF for beat in beats if beat >> 8 == port]
            assert mine == [payload for payload in stream if parameters.output_of(payload) == output]


@pytest.mark.parametrize("seed", range(20))
def test_a_beat_that_waits_keeps_its_output(seed: int) -> None:
    parameters, streams = drawn(seed)
    rows, _ = drive(parameters, streams, ready=0.3, seed=seed)
    for before, after in pairwise(rows):
        for output in range(parameters.outputs):
            if before[f"granted_{output}_valid"] and not before[f"granted_{output}_ready"]:
                assert after[f"granted_{output}_valid"]
                assert after[f"granted_{output}_payload"] == before[f"granted_{output}_payload"]


def test_the_lowest_input_goes_first_unless_another_holds_the_lock() -> None:
    parameters = Crossbar(inputs=3, outputs=1, bits=4, position=0, input_depth=0)
    model = Model(parameters)

    def clock(valid: tuple[int, int, int], ready: int) -> int:
        inputs = {"granted_0_ready": ready}
        for port, one in enumerate(valid):
            inputs |= {f"request_{port}_valid": one, f"request_{port}_payload": 0}
        return model.step(inputs)["granted_0_payload"] >> 4

    assert clock((0, 1, 1), 0) == 1
    assert clock((1, 1, 1), 0) == 1
    assert clock((1, 1, 1), 1) == 1
    assert clock((1, 0, 1), 1) == 0


def test_neighbours_pass_at_the_rate_of_the_channels_and_one_channel_at_one() -> None:
    addresses = PRESETS["addresses"]
    line = [[32 * (beat * 32 + port) for beat in range(8)] for port in range(32)]
    assert cycles(addresses, line) == 1 + 256 // 16
    assert cycles(addresses, [[512 * beat for beat in range(8)] for _ in range(32)]) == 1 + 256


def test_many_requests_at_once_are_counted_each_alone() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 200, 30)
    begins = np.append(0, np.cumsum(sizes))
    outputs = rng.integers(0, 16, int(sizes.sum()))
    together = issue_cycles(PRESETS["addresses"], outputs, begins)
    for request, (begin, end) in enumerate(pairwise(begins)):
        beats = (32 * outputs[begin:end]).tolist()
        streams = [beats[port::32] for port in range(32)]
        assert cycles(PRESETS["addresses"], streams) == together[request]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": 0}, "inputs must be from 1 to 64, not 0"),
        ({"outputs": 65}, "outputs must be from 1 to 64, not 65"),
        ({"input_depth": -1}, "input_depth must be from 0 to 65536, not -1"),
        ({"position": 65}, "position must be from 0 to 64, not 65"),
    ],
)
def test_sizes_that_make_no_crossbar_are_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Crossbar(**change)
