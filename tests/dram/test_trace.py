"""Plain traces: what is a request, what is refused and how, and the two commands."""

import io
import itertools
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from accelsim.cli import main
from accelsim.dram.presets import DDR4_2400, DEVICES, HBM2_2000
from accelsim.dram.trace import blocks, read_trace


def test_every_spelling_of_a_request_is_read() -> None:
    text = ["# comment", "", "LD 0x40", "st 128  # late", "0xC0 READ", "256 write 77", "Ld 0X140 9"]
    (chunk,) = read_trace([("\n".join(text)).encode()], DDR4_2400)
    assert chunk.lines.tolist() == [1, 2, 3, 4, 5]
    assert chunk.writes.tolist() == [0, 1, 0, 1, 0]
    assert chunk.earliest.tolist() == [0, 0, 0, 77, 9]


def test_an_address_inside_a_burst_is_rounded_down_and_counted() -> None:
    (chunk,) = read_trace([b"LD 0\nLD 65\nLD 127\n"], DDR4_2400)
    assert chunk.lines.tolist() == [0, 1, 1]
    assert (chunk.inside, chunk.first_inside) == (2, 2)


@pytest.mark.parametrize(
    "line",
    ["LD", "LD zz", "0x40", "LOAD 0x40", "LD 0x40 later", "LD 0x40 1 2", "LD 4_0", "LD 0x40 -1", "LD LD"],
)
def test_a_malformed_line_is_named_by_its_number(line: str) -> None:
    with pytest.raises(ValueError, match=r"^t line 3 must be 'LD 0x40'.*not '") as error:
        list(read_trace([f"LD 0\n# fine\n{line}\n".encode()], DDR4_2400, name="t"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["-64", "0x200000000", str(1 << 70)])
def test_an_address_beyond_the_device_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="trace line 1: address must be from 0 to 0x1ffffffff"):
        list(read_trace([f"LD {address}".encode()], DDR4_2400))


def test_unusual_spellings_in_a_block_are_read_as_the_usual_ones() -> None:
    usual = b"LD 0x40\nST 128 7\n# no\n\n0xC0 READ\r\n  w\t256\nLD 300\n"
    (fast,) = read_trace([usual], DDR4_2400)
    (slow,) = read_trace([usual + b"LD +0x40\n"], DDR4_2400)
    for ours, theirs in (
        (fast.lines, slow.lines),
        (fast.writes, slow.writes),
        (fast.earliest, slow.earliest),
    ):
        assert ours.tolist() == theirs.tolist()[:-1]
    assert (fast.inside, fast.first_inside) == (slow.inside, slow.first_inside) == (1, 7)


def test_a_file_is_cut_at_line_ends_and_keeps_its_line_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.dram.trace.BLOCK_BYTES", 7)
    text = b"LD 0x40\n" * 5 + b"LD 1\nnonsense 1\n"
    pieces = list(blocks(io.BytesIO(text)))
    assert b"".join(pieces) == text
    assert len(pieces) > 3
    chunks = read_trace(pieces, DDR4_2400)
    assert sum(len(chunk.lines) for chunk in itertools.islice(chunks, len(pieces) - 1)) == 6
    with pytest.raises(ValueError, match="trace line 7 must be"):
        list(chunks)
    with pytest.raises(ValueError, match="lines of at most"):
        list(blocks(io.BytesIO(b"0" * 200_000)))


@pytest.mark.parametrize("name", ["RoBaRaCo", "RoBaRaCoChCh", "nonsense", "RoBgRaCoCh"])
def test_a_mapping_that_leaves_bits_out_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="mapping must be one of"):
        replace(HBM2_2000, mapping=name)


@pytest.fixture(autouse=True)
def on_a_fast_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No trace here takes long enough for a line of progress, not even where it is compiled first."""
    monkeypatch.setattr("accelsim.cli.output.SECONDS_BETWEEN_LINES", 3600.0)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "short.trace"
    path.write_text("".join(f"{'ST' if i % 5 == 0 else 'LD'} {i * 64:#x}\n" for i in range(200)))
    return path


def test_dram_prints_what_the_trace_took(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dram", "--device", "DDR4-2400", "--trace", str(trace), "--json", "-"]) == 0
    out, err = capsys.readouterr()
    values = json.loads(out)
    assert err == ""
    assert (values["reads"], values["writes"]) == (160, 40)
    assert values["energy_pj"] == pytest.approx(sum(values["energy_by_cause_pj"].values()))
    assert values["row_hits"] + values["row_misses"] + values["row_conflicts"] == 200
    assert values["seconds"] == pytest.approx(values["cycles"] * 833e-12)
    assert values["gbps"] == pytest.approx(200 * 64 / values["seconds"] / 1e9)


def test_commands_are_written_one_a_line(trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "commands"
    assert main(["dram", "--device", "hbm2", "--trace", str(trace), "--commands", str(path)]) == 0
    lines = path.read_text().splitlines()
    assert lines[0] == "# clock channel command rank bank row_or_column"
    assert sum(line.split()[2] in ("RD", "WR") for line in lines[1:]) == 200


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "LD zork",
            "bad line 41 must be 'LD 0x40', 'ST 0x40' or '0x40 READ', with an optional cycle, not 'LD zork'",
        ),
        ("LD 0x200000000", "bad line 41: address must be from 0 to 0x1ffffffff (DDR4-2400, 8192 MiB)"),
    ],
)
def test_a_bad_line_is_one_line_with_its_number_and_no_file_of_commands(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad").write_text("LD 0x40\n" * 40 + line + "\n")
    Path("commands").write_text("as it was")
    assert main(["dram", "--device", "DDR4-2400", "--trace", "bad", "--commands", "commands"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err
    assert Path("commands").read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "commands"]


def test_settings_reach_the_timings(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cycles = []
    for setting in ("tCCD_L=4", "tCCD_L=2"):
        assert (
            main(["dram", "--device", "HBM2-2000", "--trace", str(trace), "--set", setting, "--json", "-"])
            == 0
        )
        cycles.append(json.loads(capsys.readouterr().out)["cycles"])
    assert cycles[1] <= cycles[0]


def test_addresses_inside_bursts_are_warned_of_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd"
    path.write_text("LD 1\nLD 2\n")
    assert main(["dram", "--device", "DDR4-2400", "--trace", str(path), "--json", "-"]) == 0
    err = capsys.readouterr().err
    assert err.splitlines() == [
        "warning: 2 addresses inside a burst of 64 bytes were rounded down, the first in line 1"
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "DDR9"], "--device must be one of DDR4-2400"),
        (["--device", "DDR4-2400", "--mapping", "RoBa"], "mapping must be one of"),
        (["--device", "DDR4-2400", "--set", "rows=3"], "rows must be a power of two, not 3"),
        (["--device", "DDR4-2400", "--ranks", "0"], "--ranks must be >= 1, not 0"),
        (["--device", "HBM2-2000", "--ranks", "2"], "ranks must be 1 with pseudo-channels"),
        (["--device", "DDR4-2400", "--set", "tCCDL=2"], "did you mean 'tCCD_L'?"),
        (["--device", "DDR4-2400", "--commands", "-"], "--commands must be a file, not '-': only --json"),
        (["--device", "GDDR6-14000", "--ranks", "2"], "ranks must be <= 1, not 2"),
        (
            ["--device", "DDR4-2400", "--set", "refresh=per-bank"],
            "refresh must be 'all-bank' (it has no tRFCpb)",
        ),
        (["--device", "HBM2", "--set", "page=close"], "did you mean 'closed'?"),
        (["--device", "DDR4-2400", "--set", "tFAW=-2"], "tFAW must be >= 1, not -2"),
        (["--device", "DDR4-2400", "--trace", "absent"], "--trace must be a file, and there is no 'absent'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    trace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["dram", "--trace", str(trace), *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_trace_may_come_through_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    writer = threading.Thread(target=pipe.write_text, args=("LD 0x40\nST 0x80\n",))
    writer.start()
    assert main(["dram", "--device", "DDR4-2400", "--trace", str(pipe), "--json", "-"]) == 0
    writer.join()
    found = json.loads(capsys.readouterr().out)
    assert (found["reads"], found["writes"]) == (1, 1)


def test_devices_are_plain_lines_with_the_name_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(DEVICES)
    assert all(device.source in line for device, line in zip(DEVICES.values(), lines, strict=True))
