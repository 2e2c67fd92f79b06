"""The driver of docs/rtl_driver.md, compiled as it stands: registers, memory and results are the bench's."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim.golden.attention import accumulated, head_importance
from accelsim.units.spatten import PRESETS, Machine
from accelsim.units.spatten.parameters import KINDS
from accelsim_rtl.entries.spatten_layers import Asked, Room, asked_of, drawn, transaction
from accelsim_rtl.entries.spatten_machine import golden, written
from accelsim_rtl.kit.register_texts import c_header

pytestmark = pytest.mark.rtl

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rtl_driver.md"
TINY = PRESETS["tiny"]
COMPILERS = [("gcc", "-std=c99", "main.c"), ("g++", "-std=c++11", "main.cpp")]
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
MEMORY_BYTES = 1 << 14

PLATFORM = """
#include <stdio.h>
static uint32_t lists[2], last[2];
static uint8_t image[SPATTEN_CHANNELS][MEMORY], results[MEMORY];
void put(uint32_t offset, uint32_t word)
{
    printf("put %u %u\\n", (unsigned)offset, (unsigned)word);
    if (offset == SPATTEN_CONTROL_OFFSET && word & SPATTEN_CONTROL_CLEAR_MASK) lists[0] = lists[1] = 0;
    if (offset == SPATTEN_TOKEN_OFFSET && lists[0] < MOST) lists[0] += word / SPATTEN_TOKEN_APPEND_MASK;
    if (offset == SPATTEN_HEAD_OFFSET) lists[1] += word / SPATTEN_HEAD_APPEND_MASK;
    last[0] = offset, last[1] = word;
}
uint32_t get(uint32_t offset)
{
    (void)offset;
    return (uint32_t)(FIELD(STATUS_TOKENS, lists[0]) | FIELD(STATUS_HEADS, lists[1])) | FAILED;
}
"""
"""A machine that is never busy, and tells what it was told. MOST: tokens that it takes."""


def table(name: str, kind: str, numbers: Any) -> str:
    return f"static const {kind} {name}[] = {{{', '.join(map(str, numbers))}}};\n"


def program(parameters: Machine, asked: Asked, results: dict[int, int], **macros: int) -> str:
    """The page's code, and a main that runs a layer and tells memory and results."""
    code = "".join(re.findall(r"```c\n(.*?)```", PAGE.read_text(), re.S))
    fields, operands = asked.fields, asked.operands
    macros = {"MEMORY": MEMORY_BYTES, "MOST": 1 << 20, "FAILED": 0} | macros
    text = code + "".join(f"#define {name} {value}\n" for name, value in macros.items()) + PLATFORM
    text += table("positions", "unsigned", asked.tokens)
    text += table("queried", "unsigned", [query for query, _ in asked.heads])
    text += table("stored", "unsigned", [stored for _, stored in asked.heads])
    lsb = fields["score_ignored"]
    planes = {"query": operands.query, "key": operands.key >> lsb, "value": operands.value}
    planes["least"] = operands.key & (1 << lsb) - 1
    body = ""
    for kind in KINDS:
        if not fields[f"{kind}_record_width"]:
            continue
        text += table(f"plane_{kind}", "int32_t", planes[kind].ravel().tolist())
        heads, many, dim = planes[kind].shape
        which = "queried" if kind == "query" else "stored"
        place = "q" if kind == "query" and not fields["layer_listed"] else "positions[q]"
        # A table that two kept heads use is set once.
        seen = [asked.heads[head][kind != "query"] for head in range(heads)]
        own = ", ".join(str(int(seen.index(one) == head)) for head, one in enumerate(seen))
        text += f"static const int own_{kind}[] = {{{own}}};\n"
        body += (
            f"    for (h = 0; h < {heads}; h++) for (q = 0; own_{kind}[h] && q < {many}; q++)\n"
            f"        for (e = 0; e < {dim}; e++)\n"
            f"            spatten_set(images, &layer.{kind}, {which}[h], {place}, e, "
            f"plane_{kind}[(h * {many} + q) * {dim} + e]);\n"
        )
    size = parameters.beat_bits // 8
    beats = [byte for beat in results.values() for byte in beat.to_bytes(size, "little")]
    text += table("addresses", "unsigned", results) + table("bytes", "uint8_t", beats)
    plain = ["queries", "values", "causal", "visible", "listed", "streamed"]
    members = [len(asked.tokens), len(asked.heads), "positions", "queried", "stored"]
    members += [fields[f"layer_{name}"] for name in plain]
    members += [fields[f"vectors_{name}"] for name in ("dim", "value_dim", "level", "value_level")]
    members += [fields[f"score_{name}"] for name in ("scale", "shift", "threshold", "ignored")]
    for kind in ("query", "key", "least", "value"):
        names = ("base", "head_stride", "record_width", "record_beats")
        numbers = [fields[f"{kind}_{name}"] for name in names]
        members.append("{" + ", ".join(map(str, numbers)) + "}")
    members += [fields[f"{name}_address"] for name in ("outputs", "importance", "magnitudes")]
    channels = ", ".join(f"image[{channel}]" for channel in range(parameters.channels))
    heads, queries, dim = len(asked.heads), fields["layer_queries"], fields["vectors_value_dim"]
    return f"""{text}
int main(void)
{{
    const struct spatten_layer layer = {{{", ".join(map(str, members))}}};
    uint8_t *const images[] = {{{channels}}};
    unsigned h, q, e;
{body}
    for (e = 0; e < sizeof bytes; e++) results[addresses[e / {size}] + e % {size}] = bytes[e];
    printf("ends %d\\n", spatten_run(&layer));
    for (h = 0; h < SPATTEN_CHANNELS; h++) for (e = 0; e < MEMORY; e++)
        if (image[h][e]) printf("byte %u %u %u\\n", h, e, image[h][e]);
    for (h = 0; h < {heads}; h++) for (q = 0; q < {queries}; q++) for (e = 0; e < {dim}; e++)
        printf("output %ld\\n", (long)spatten_output(results, &layer, h, q, e));
    for (e = 0; e < {len(asked.tokens)}; e++)
        printf("importance %lu\\n", (unsigned long)spatten_importance(results, &layer, e));
    for (h = 0; h < {heads}; h++)
        printf("magnitude %lu\\n", (unsigned long)spatten_magnitude(results, &layer, h));
    return 0;
}}
"""


def told(
    parameters: Machine, text: str, place: Path, compiler: str, standard: str, source: str
) -> dict[str, list[list[int]]]:
    """What the program prints, by the first word of its lines."""
    (place / "spatten_registers.h").write_text(c_header(parameters.map))
    (place / source).write_text(text)
    subprocess.run([compiler, standard, *WARNINGS, "-o", "main", source], cwd=place, check=True)
    output = subprocess.run(["./main"], cwd=place, check=True, capture_output=True, text=True).stdout
    found: dict[str, list[list[int]]] = {}
    for word, *numbers in map(str.split, output.splitlines()):
        found.setdefault(word, []).append([int(number) for number in numbers])
    return found


def layers(parameters: Machine, seed: int) -> list[dict[str, Any]]:
    """Two layers as the bench gives them, the second with least significant parts and V row by row."""
    generator, room = np.random.default_rng(seed), Room(parameters)
    return [transaction(parameters, drawn(parameters, number, generator), room) for number in range(2)]


@pytest.mark.parametrize(("compiler", "standard", "source"), COMPILERS, ids=["c99", "c++11"])
@pytest.mark.parametrize(
    ("parameters", "seed"),
    [
        (TINY, 1),
        (replace(TINY, address_bits=40, channels=4), 2),
        (replace(TINY, channels=1, beat_bits=64), 3),
    ],
    ids=["tiny", "addresses of two words", "one channel"],
)
def test_the_pages_driver_does_what_the_bench_does(
    parameters: Machine, seed: int, compiler: str, standard: str, source: str, tmp_path: Path
):
    if shutil.which(compiler) is None:
        pytest.fail(f"{compiler} compiles the driver")
    for each in layers(parameters, seed):
        asked = asked_of(parameters, each)
        results = written(parameters, asked)
        found = told(parameters, program(parameters, asked, results), tmp_path, compiler, standard, source)
        assert found["ends"] == [[0]]

        bits, size = parameters.beat_bits, parameters.beat_bits // 8
        held: dict[int, int] = {}
        for channel, byte, value in found["byte"]:
            beat = byte // size * parameters.channels + channel
            held[beat * size] = held.get(beat * size, 0) | value << byte % size * 8
        work = {
            "s_axil_aw": [offset for offset, _ in found["put"]],
            "s_axil_w": [word for _, word in found["put"]],
            "memory": [address << bits | held.get(address, 0) for address in range(0, MEMORY_BYTES, size)],
        }
        assert found["put"][-1] == [parameters.map.offsets["control"], 1]
        again = asked_of(parameters, work)
        assert (again.fields, again.tokens, again.heads) == (asked.fields, asked.tokens, asked.heads)
        for name in ("query", "key", "value"):
            assert np.array_equal(getattr(again.operands, name), getattr(asked.operands, name)), name
        # Only what the layer reads was set; that lies as in the bench.
        image = {word >> bits: word & (1 << bits) - 1 for word in each["memory"]}
        assert held
        assert held.items() <= image.items()

        layer = golden(parameters, asked)
        assert [value for (value,) in found["output"]] == layer.outputs.ravel().tolist()
        sums = np.zeros(len(asked.tokens), np.int64)
        for row in layer.probabilities.reshape(-1, len(asked.tokens)):
            sums = accumulated(sums, row, parameters.head.importance_bits)
        assert [value for (value,) in found["importance"]] == sums.tolist()
        magnitudes = head_importance(np.zeros(len(asked.heads), np.int64), layer.outputs)
        assert [value for (value,) in found["magnitude"]] == magnitudes.tolist()


def test_the_pages_driver_says_what_failed_and_never_starts_what_did_not_fit(tmp_path: Path):
    each = layers(TINY, 1)[0]
    asked = asked_of(TINY, each)
    for macros in ({"FAILED": "SPATTEN_STATUS_FAILED_MASK"}, {"MOST": len(asked.tokens) - 1}):
        found = told(TINY, program(TINY, asked, {0: 0}, **macros), tmp_path, *COMPILERS[0])
        assert found["ends"] == [[-1]]
        starts = [TINY.map.offsets["control"], 1] in found["put"]
        assert starts == ("FAILED" in macros)
