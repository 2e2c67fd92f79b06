"""Damaged and hostile files against every reader: one line or the truth, at once, in bounded memory.

    python benchmarks/fuzz.py [READER]... [--cases 100000] [--seed 0] [-o FILE]

A case is a whole file of the reader, changed: cut, bits turned, pieces overwritten, moved, repeated, or
replaced by numbers and words that break things. A reader must give a value or a ValueError of one line; any
other exception, more than TIME_S, or a wish for more than MEMORY_BYTES beyond what was taken before, also one
that the reader makes a ValueError of, is a failure, and the file is kept beside the results. Exit status 1 if
there is one.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from experiment import options, provenance, save, so_far, some_of

TIME_S = 10.0
MEMORY_BYTES = 4 * 2**30
LONGEST_LINE = 2000
MOST_KEPT = 20

Reader = Callable[[Path], object]

NUMBERS = tuple(
    number.to_bytes(size, order, signed=number < 0)
    for size in (1, 2, 4, 8)
    for order in ("little", "big")
    for number in (0, 1, -1, (1 << (8 * size - 1)) - 1, 1 << (8 * size - 2))
)
WORDS = (
    b"", b"\x00", b"\n", b"\r\n", b"\xff\xfe", b"-1", b"0x", b"1e999", b"NaN", b"99999999999999999999", b"{",
    b"}", b"[" * 64, b"]", b'"', b"'", b"\\", b":", b",", b"&a ", b"*a", b"!!python/object/apply:os.system ",
    b"%s", b"../../etc/passwd", b"null", b"true", b"<script>", "\u202e\u0000é".encode(),
)  # fmt: skip


class TooSlow(BaseException):
    """No Exception: a reader must not take it for what is wrong with the file."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A reader, and how a whole file for it is made."""

    read: Reader
    make: Callable[[Path], object]


def main() -> None:
    kinds = all_kinds()
    parser = options(__file__, __doc__)
    parser.add_argument("readers", metavar="READER", **some_of(kinds))
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = so_far(given.output).get("rows", [])
    for name in given.readers:
        row = {"reader": name, "seed": given.seed} | fuzzed(
            name, kinds[name], given.cases, given.seed, given.output.parent
        )
        print(json.dumps(row), flush=True)
        rows = [*(other for other in rows if other["reader"] != name), row]
        made = provenance(given.date, "numpy") | {"command": "python benchmarks/fuzz.py"}
        save(given.output, made | {"rows": rows})
    sys.exit(any(row["failures"] for row in rows))


def fuzzed(name: str, kind: Kind, cases: int, seed: int, kept: Path) -> dict[str, Any]:
    """How many cases were read and refused, and what failed; the first of those are written to `kept`."""
    generator = np.random.default_rng([seed, *name.encode()])
    accepted, slowest, failures = 0, 0.0, []
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        file = Path(folder) / "case"
        kind.make(file)
        whole = file.read_bytes()
        kind.read(file)
        with bounded_memory():
            for case in range(cases):
                content = changed(whole, generator)
                file.write_bytes(content)
                started = time.monotonic()
                why = failure(kind.read, file)
                slowest = max(slowest, time.monotonic() - started)
                accepted += why is None
                if why:
                    failures.append({"case": case, "why": why})
                    if len(failures) <= MOST_KEPT:
                        (kept / f"fuzz-{name}-{seed}-{case}").write_bytes(content)
    refused = cases - accepted - len(failures)
    figures = {"cases": cases, "read": accepted, "refused": refused, "slowest_s": round(slowest, 3)}
    return figures | {"failures": len(failures), "first": failures[:MOST_KEPT]}


def failure(read: Reader, file: Path) -> str | None:
    """None if the file was read, "" if it was refused as it must be, else what was wrong."""
    signal.signal(signal.SIGALRM, _too_slow)
    started = time.monotonic()
    try:
        # Inside: the signal may come at any time from here on.
        signal.setitimer(signal.ITIMER_REAL, TIME_S)
        try:
            said = _said(read, file)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except TooSlow:
        said = ""
    # A reader that catches everything, or compiled code that no signal reaches, ends late all the same.
    return f"took more than {TIME_S} s" if time.monotonic() - started >= TIME_S else said


def _said(read: Reader, file: Path) -> str | None:
    try:
        read(file)
    except ValueError as error:
        line = str(error)
        if any(isinstance(cause, MemoryError) for cause in _causes(error)):
            return f"MemoryError, said to be: {line[:200]!r}"
        if "\n" in line or not line or len(line) > LONGEST_LINE:
            return f"{type(error).__name__} is not one line: {line[:200]!r}"
        return ""
    except Exception as error:  # anything else is what is looked for
        return f"{type(error).__name__}: {str(error)[:200]}"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those in whose handling it was raised, also if it hides them (`from None`)."""
    while error is not None:
        yield error
        error = error.__context__


def changed(whole: bytes, generator: np.random.Generator) -> bytes:
    """The file after one to four changes."""
    content = bytearray(whole)
    for _ in range(int(generator.integers(1, 5))):
        start = int(generator.integers(len(content) + 1))
        length = int(min(len(content) - start, generator.geometric(0.1)))
        match int(generator.integers(7)):
            case 0:
                del content[start:]
            case 1:
                del content[start : start + length]
            case 2 if content:
                content[start % len(content)] ^= 1 << int(generator.integers(8))
            case 3:
                content[start : start + length] = generator.bytes(length)
            case 4:
                piece = NUMBERS[int(generator.integers(len(NUMBERS)))]
                content[start : start + len(piece)] = piece
            case 5:
                content[start : start + length] = WORDS[int(generator.integers(len(WORDS)))]
            case 6:
                place = int(generator.integers(len(content) + 1))
                content[place:place] = content[start : start + length] * int(generator.integers(1, 20))
    return bytes(content)


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Address space for what is taken already and MEMORY_BYTES more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _too_slow(*_: object) -> None:
    raise TooSlow


def all_kinds() -> dict[str, Kind]:
    """The readers of files that come from others; those of weights need torch."""
    from accelsim import synthetic
    from accelsim.accelerators.sat import schedule
    from accelsim.dram.presets import DEVICES
    from accelsim.dram.trace import blocks, read_trace
    from accelsim.models import gguf_file, onnx_file
    from accelsim.sweep import read_space
    from accelsim.sweep import store as stored
    from accelsim.workload import Workload

    def trace(file: Path) -> None:
        with file.open("rb") as content:
            for _ in read_trace(blocks(content), DEVICES["DDR4-2400"]):
                pass

    def database(file: Path) -> None:
        with stored.opened(file) as store:
            store.known("a")
            store.workload_hash("b")

    def filled(file: Path) -> None:
        with stored.opened(file) as store:
            store.keep("a", "words", stored.DONE, {"cycles": 3}, 0.1)
            store.keep_workload("b", "hash", b"content")

    return {
        "workload": Kind(read=Workload.load, make=synthetic.gemm(4, 16, 16, pattern=(2, 4)).save),
        "dram": Kind(read=trace, make=lambda file: file.write_text(TRACE)),
        "sweep": Kind(read=read_space, make=lambda file: file.write_text(SPACE)),
        "database": Kind(read=database, make=filled),
        "schedule": Kind(
            read=lambda file: schedule.load(str(file), 32, 32), make=lambda file: file.write_text(SCHEDULE)
        ),
        "gguf": Kind(read=gguf_file.read, make=small_gguf),
        "onnx": Kind(read=onnx_file.read, make=small_onnx),
        "safetensors": Kind(read=safetensors, make=small_safetensors),
        "checkpoint": Kind(read=checkpoint, make=small_checkpoint),
    }


TRACE = "# a trace\n" + "".join(
    f"LD 0x{64 * line:x}\nST {64 * line} {4 * line}\n0x{line:x} READ\n" for line in range(9)
)
SPACE = """
models: [minilm, "gemm:16x16x16"]
recipes: [dense, "magnitude,2:4"]
machines: [{on: sat, set: {rows: [8, 0x10], clock_hz: {low: 1e8, high: 2e8, steps: 3, log: true}}}, stc]
objectives: {seconds: min}
search: {kind: random, points: 10}
seed: 3
"""
LAYERS = {f"encoder.layers.{number}.attention.output.dense": "os" for number in range(8)}
SCHEDULE = json.dumps(
    {"kind": "sat schedule", "version": 1, "rows": 32, "cols": 32, "layers": LAYERS | {"b": {"2:8": "ws"}}}
)


def small_gguf(file: Path) -> None:
    """A GGUF file with a text, numbers and a tensor."""
    import gguf

    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(16)
    writer.add_array("words", ["a", "b"])
    writer.add_tensor("w", np.arange(64, dtype=np.float32).reshape(2, 32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def small_onnx(file: Path) -> None:
    """An ONNX model of one product."""
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    model = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:], [weight]))
    file.write_bytes(model.SerializeToString())


def small_safetensors(file: Path) -> None:
    """Two tensors."""
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2, 3), "b": torch.arange(4)}, file)


def safetensors(file: Path) -> object:
    """The tensors as a model of `transformers` layout reads them."""
    from accelsim.models.checkpoints import in_one_line, stored_tensors

    with in_one_line(f"model file {str(file)!r}"):
        return stored_tensors([file])


def small_checkpoint(file: Path) -> None:
    """A run of a training, whose state is small."""
    import torch

    from accelsim.training import checkpoint as kept

    state = {name: {"a": torch.ones(3)} for name in kept.KEYS} | {
        "settings": {"seed": 0},
        "epoch": 1,
        "rows": [],
    }
    kept.save(file, state)


def checkpoint(file: Path) -> object:
    """The state of a training."""
    from accelsim.training import checkpoint as kept

    return kept.load(file, {"seed": 0})


if __name__ == "__main__":
    main()
