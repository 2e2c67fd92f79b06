"""`--set`: texts become values of the field's type, and unknown names meet the nearest known one."""

import re
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pytest

from accelsim.dram import DDR4_2400, DEVICES, Dram
from accelsim.parameters import (
    as_dict,
    changes,
    check_types,
    parse_settings,
    paths,
    replace_all,
    replace_by_path,
)


@dataclass(frozen=True, kw_only=True)
class Engine:
    width: int = 16

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"engine.width must be >= 1, not {self.width}")


@dataclass(frozen=True, kw_only=True)
class Machine:
    rows: int = 4
    clock_hz: float = 1e9
    overlapped: bool = False
    flow: Literal["os", "ws"] = "os"
    label: str = ""
    limit: int | None = None
    sizes: tuple[int, ...] = (1, 2)
    engine: Engine = field(default_factory=Engine)
    dram: Dram = DDR4_2400


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("rows", "16", Machine(rows=16)),
        ("rows", "0x10", Machine(rows=16)),
        ("rows", "1e3", Machine(rows=1000)),
        ("rows", "1_000", Machine(rows=1000)),
        ("clock_hz", "2e8", Machine(clock_hz=2e8)),
        ("clock_hz", "5", Machine(clock_hz=5.0)),
        ("overlapped", "true", Machine(overlapped=True)),
        ("overlapped", "0", Machine(overlapped=False)),
        ("flow", "ws", Machine(flow="ws")),
        ("label", "x=y", Machine(label="x=y")),
        ("limit", "7", Machine(limit=7)),
        ("limit", "none", Machine(limit=None)),
        ("sizes", "3,4,5", Machine(sizes=(3, 4, 5))),
        ("engine.width", "8", Machine(engine=Engine(width=8))),
        ("dram.tCCD_L", "4", Machine(dram=replace(DDR4_2400, tCCD_L=4))),
        ("dram", "HBM2-2000x16", Machine(dram=DEVICES["HBM2-2000x16"])),
    ],
)
def test_a_text_becomes_a_value_of_the_fields_type(path: str, text: str, expected: Machine) -> None:
    changed = replace_by_path(Machine(), path, text)
    assert changed == expected
    assert repr(changed) == repr(expected)


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("row", "1", r"not 'row'; did you mean 'rows'\?"),
        ("dram.channel", "1", r"did you mean 'dram.channels'\?"),
        ("dram.tCCD_L.x", "1", "parameter must be one of"),
        ("rows", "x", "rows must be an integer, not 'x'"),
        ("rows", "1.5", "rows must be an integer, not '1.5'"),
        ("rows", "inf", "rows must be an integer that is finite, not 'inf'"),
        ("clock_hz", "nan", "clock_hz must be a number that is finite, not 'nan'"),
        ("clock_hz", "fast", "clock_hz must be a number, not 'fast'"),
        ("overlapped", "maybe", "overlapped must be true or false, not 'maybe'"),
        ("flow", "wss", r"flow must be one of os, ws, not 'wss'; did you mean 'ws'\?"),
        ("engine.width", "0", "engine.width must be >= 1, not 0"),
        ("engine.width", "a", "engine.width must be an integer, not 'a'"),
        ("engine", "8", r"engine cannot be set as a whole, only its parts: engine\.NAME=VALUE"),
        ("dram", "HBM", "dram must be one of DDR4-2400, .*HBM2-2000x16, .*not 'HBM'"),
        ("sizes", "1,x", "sizes must be an integer, not 'x'"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(path: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        replace_by_path(Machine(), path, text)
    assert "\n" not in str(error.value)


def test_settings_of_one_group_are_checked_together() -> None:
    both = {"dram.burst_bytes": "128", "dram.interleave": "128"}
    assert replace_all(Machine(), both).dram.interleave == 128
    with pytest.raises(ValueError, match=r"interleave must be 0 or a power of two of bursts of 64 B, not 32"):
        replace_all(Machine(), {"dram.interleave": "32"})


def test_a_whole_device_and_one_of_its_parts_can_be_set_together() -> None:
    changed = replace_all(Machine(), {"dram": "HBM2-2000x16", "dram.channels": "8"})
    assert changed.dram == replace(DEVICES["HBM2-2000x16"], channels=8)


def test_a_later_setting_of_a_key_wins() -> None:
    assert parse_settings(["rows=1", " rows = 2 ", "label=a=b"]) == {"rows": "2", "label": "a=b"}


@pytest.mark.parametrize("text", ["rows", "=3", "rows=", ""])
def test_a_setting_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--set must be KEY=VALUE"):
        parse_settings([text])


def test_every_path_can_be_read_back_and_set() -> None:
    names = paths(Machine())
    assert {"rows", "engine", "engine.width", "dram.tCCD_L"} <= set(names)
    assert len(names) == len(set(names))
    plain = as_dict(Machine())
    assert plain["engine"] == {"width": 16}
    assert plain["sizes"] == [1, 2]
    assert plain["dram"]["device"] == "DDR4-2400"


def test_changes_name_what_differs_from_the_preset() -> None:
    assert changes(Machine(), Machine()) == []
    changed = replace_all(Machine(), {"rows": "8", "dram.channels": "2"})
    assert changes(changed, Machine()) == ["rows=8", "dram.channels=2"]


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (Machine(rows=2.5), "rows must be an integer, not 2.5"),  # type: ignore[arg-type]
        (Machine(rows=True), "rows must be an integer, not True"),
        (Machine(clock_hz="fast"), "clock_hz must be a number, not 'fast'"),  # type: ignore[arg-type]
        (Machine(overlapped=1), "overlapped must be True or False, not 1"),  # type: ignore[arg-type]
        (Machine(label=3), "label must be text, not 3"),  # type: ignore[arg-type]
        (Machine(engine=Engine(width=2.0)), "engine.width must be an integer, not 2.0"),  # type: ignore[arg-type]
        (Machine(dram="HBM2"), "dram must be a Device, not 'HBM2'"),  # type: ignore[arg-type]
    ],
)
def test_values_of_another_type_than_the_field_says_are_refused(machine: Machine, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        check_types(machine)


def test_numbers_of_numpy_and_whole_numbers_for_real_ones_are_taken() -> None:
    check_types(Machine(rows=np.int64(3), clock_hz=10**9, limit=None))  # type: ignore[arg-type]
