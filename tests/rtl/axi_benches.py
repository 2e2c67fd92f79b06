"""cocotb benches of the AXI units against the bus models of cocotbext-axi; `test_axi_bus.py` runs them."""

import itertools
import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiRamRead, AxiRamWrite, AxiReadBus, AxiWriteBus

MEMORY_BYTES = 1 << 16
LONGEST_NS = 400_000


async def begin(dut, *inputs):
    """Clock and reset; inputs of streams that offer nothing and take nothing yet."""
    for name in inputs:
        getattr(dut, name).value = 0
    dut.rst.value = 1
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


def pauses(generator, rate):
    """A pause generator for a channel."""
    return (generator.random() < rate for _ in itertools.count())


def pause_all(generator, interface):
    """Random pauses on every channel of a bus model."""
    for name in ("ar_channel", "r_channel", "aw_channel", "w_channel", "b_channel"):
        if hasattr(interface, name):
            getattr(interface, name).set_pause_generator(pauses(generator, generator.choice([0, 0.3, 0.7])))


async def give(dut, name, payloads, generator):
    """Offer payloads on a stream, with gaps."""
    valid, ready, payload = (getattr(dut, f"{name}_{part}") for part in ("valid", "ready", "payload"))
    for value in payloads:
        while generator.random() < 0.2:
            valid.value = 0
            await RisingEdge(dut.clk)
        valid.value, payload.value = 1, value
        await RisingEdge(dut.clk)
        while not ready.value:
            await RisingEdge(dut.clk)
    valid.value = 0


async def take(dut, name, count, generator):
    """`count` payloads of a stream, taken with gaps."""
    valid, ready, payload = (getattr(dut, f"{name}_{part}") for part in ("valid", "ready", "payload"))
    taken = []
    while len(taken) < count:
        ready.value = int(generator.random() < 0.7)
        await RisingEdge(dut.clk)
        if ready.value and valid.value:
            taken.append(int(payload.value))
    ready.value = 0
    return taken


def transfers(generator, width, count):
    """Address and beats, many near the end of a page."""
    for _ in range(count):
        beats = generator.randint(1, 40)
        page = 4096 * generator.randint(1, MEMORY_BYTES // 4096 - 1)
        address = generator.choice([page, page - width * generator.randint(0, beats)])
        yield min(address, MEMORY_BYTES - beats * width), beats


def told(results):
    """What the test that started this bench reads."""
    Path(os.environ["BENCH_RESULTS"]).write_text(json.dumps(results))


@cocotb.test(timeout_time=LONGEST_NS, timeout_unit="ns")
async def reads(dut):
    generator, width = random.Random(int(os.environ["BENCH_SEED"])), len(dut.m_axi_rdata) // 8
    ram = AxiRamRead(AxiReadBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    image = generator.randbytes(MEMORY_BYTES)
    ram.write(0, image)
    pause_all(generator, ram)
    await begin(dut, "requests_valid", "beats_ready")
    work = list(transfers(generator, width, 30))
    bits = len(dut.m_axi_araddr)
    cocotb.start_soon(give(dut, "requests", [address | beats << bits for address, beats in work], generator))
    beats = await take(dut, "beats", sum(beats for _, beats in work), generator)
    wanted = []
    for address, count in work:
        for beat in range(count):
            place = address + beat * width
            word = int.from_bytes(image[place : place + width], "little")
            wanted.append(word | (beat == count - 1) << 8 * width + 1)
    assert beats == wanted
    told({"beats": len(beats)})


@cocotb.test(timeout_time=LONGEST_NS, timeout_unit="ns")
async def writes(dut):
    generator, width = random.Random(int(os.environ["BENCH_SEED"])), len(dut.m_axi_wdata) // 8
    ram = AxiRamWrite(AxiWriteBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    pause_all(generator, ram)
    await begin(dut, "requests_valid", "beats_valid", "done_ready")
    work = list(transfers(generator, width, 30))
    bits, image, beats = len(dut.m_axi_awaddr), bytearray(MEMORY_BYTES), []
    for address, count in work:
        drawn = generator.randbytes(count * width)
        image[address : address + len(drawn)] = drawn
        beats += [
            int.from_bytes(drawn[place : place + width], "little") for place in range(0, len(drawn), width)
        ]
    cocotb.start_soon(give(dut, "requests", [address | count << bits for address, count in work], generator))
    cocotb.start_soon(give(dut, "beats", beats, generator))
    done = await take(dut, "done", len(work), generator)
    assert done == [0] * len(work)
    assert bytes(ram.read(0, MEMORY_BYTES)) == bytes(image)
    told({"beats": len(beats)})


@cocotb.test(timeout_time=LONGEST_NS, timeout_unit="ns")
async def address_behind_data(dut):
    """A memory that takes an address only when it sees its data, as A3.3.1 allows; burst after burst."""
    generator, width = random.Random(int(os.environ["BENCH_SEED"])), len(dut.m_axi_wdata) // 8
    held: dict[int, int] = {}

    async def memory():
        while True:
            while not (dut.m_axi_awvalid.value == 1 and dut.m_axi_wvalid.value == 1):
                await RisingEdge(dut.clk)
            first, beats = int(dut.m_axi_awaddr.value), int(dut.m_axi_awlen.value) + 1
            # Some addresses are taken before their first beat, some behind their last one.
            early = generator.random() < 0.5
            await pulse(dut.m_axi_awready, dut.m_axi_awvalid) if early else None
            for beat in range(beats):
                held[first + beat * width] = await pulse(dut.m_axi_wready, dut.m_axi_wvalid, dut.m_axi_wdata)
                assert int(dut.m_axi_wlast.value) == (beat == beats - 1)
            await (RisingEdge(dut.clk) if early else pulse(dut.m_axi_awready, dut.m_axi_awvalid))
            await pulse(dut.m_axi_bvalid, dut.m_axi_bready)

    async def pulse(own, other, payload=None):
        """Say `own` until a clock in which `other` is said too; the payload of that clock."""
        own.value = 1
        await RisingEdge(dut.clk)
        while other.value != 1:
            await RisingEdge(dut.clk)
        found = 0 if payload is None else int(payload.value)
        own.value = 0
        return found

    bus = [f"m_axi_{name}" for name in ("awready", "wready", "bvalid", "bid", "bresp")]
    await begin(dut, "requests_valid", "beats_valid", "done_ready", *bus)
    cocotb.start_soon(memory())
    work, bits = list(transfers(generator, width, 8)), len(dut.m_axi_awaddr)
    beats = [generator.getrandbits(8 * width) for _, count in work for _ in range(count)]
    cocotb.start_soon(give(dut, "requests", [address | count << bits for address, count in work], generator))
    cocotb.start_soon(give(dut, "beats", beats, generator))
    assert await take(dut, "done", len(work), generator) == [0] * len(work)
    wanted, left = {}, iter(beats)
    for address, count in work:
        wanted |= {address + beat * width: next(left) for beat in range(count)}
    assert held == wanted
    told({"beats": len(beats)})


@cocotb.test(timeout_time=LONGEST_NS, timeout_unit="ns")
async def registers(dut):
    """Offsets and masks are those that the C header says, as a compiled program printed them."""
    said = json.loads(Path(os.environ["BENCH_SCENARIOS"]).read_text())
    generator = random.Random(int(os.environ["BENCH_SEED"]))
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
    for interface in (master.read_if, master.write_if):
        pause_all(generator, interface)
    await begin(dut, "events_valid")

    async def field(register, name):
        word = await master.read_qword(said[f"{register}_OFFSET"])
        return (word & said[f"{register}_{name}_MASK"]) >> said[f"{register}_{name}_SHIFT"]

    assert await field("CONTROL", "MODE") == 5
    assert await field("CONTROL", "LIMIT") == 0x1234
    await master.write_dword(said["CONTROL_OFFSET"], 9 << said["CONTROL_MODE_SHIFT"])
    assert int(dut.control_mode.value) == 9
    assert int(dut.control_limit.value) == 0
    address = generator.getrandbits(40)
    await master.write_qword(said["BASE_OFFSET"], address)
    assert await field("BASE", "ADDRESS") == address == int(dut.base_address.value)
    await give(dut, "events", [3, 7, 11], generator)
    assert await field("STATUS", "EVENT") == 11
    assert await field("EVENTS", "COUNT") == 3
    await master.write_byte(said["EVENTS_OFFSET"], 1)
    assert await field("EVENTS", "COUNT") == 0
    await master.write_dword(said["SPARE_0_OFFSET"], 0xCAFE)
    assert await master.read_dword(said["SPARE_0_OFFSET"]) == 0xCAFE
    refused = await master.read(said["BYTES"], 4)
    assert int(refused.resp) == 2
    told({"words": said["BYTES"] // 4})


@cocotb.test(timeout_time=LONGEST_NS, timeout_unit="ns")
async def gemms(dut):
    """The tensor core as software sees it: one memory behind its four ports, registers, and `status`."""
    said = json.loads(Path(os.environ["BENCH_SCENARIOS"]).read_text())
    generator = random.Random(int(os.environ["BENCH_SEED"]))
    memory, ports = None, []
    for name in said["reads"]:
        bus = AxiReadBus.from_prefix(dut, f"m_axi_{name}")
        ports.append(AxiRamRead(bus, dut.clk, dut.rst, size=MEMORY_BYTES, mem=memory))
        memory = ports[0].mem
    bus = AxiWriteBus.from_prefix(dut, "m_axi_d")
    ports.append(AxiRamWrite(bus, dut.clk, dut.rst, size=MEMORY_BYTES, mem=memory))
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
    for interface in (*ports, master.read_if, master.write_if):
        pause_all(generator, interface)
    for address, line in said["lines"]:
        ports[0].write(address, bytes.fromhex(line))
    await begin(dut, "done_ready")
    dut.done_ready.value = 1
    for job in said["jobs"]:
        for offset, word in job["writes"]:
            await master.write_dword(offset, word)
        while (status := await master.read_dword(said["status"])) & said["under_way"]:
            pass
        assert status == 0
        for address, line in job["results"]:
            assert bytes(ports[0].read(address, len(line) // 2)).hex() == line
    assert await master.read_dword(said["done"]) == len(said["jobs"])
    told({"lines": sum(len(job["results"]) for job in said["jobs"])})


@cocotb.test(timeout_time=LONGEST_NS, timeout_unit="ns")
async def layers(dut):
    """SpAtten as its driver's page says: memories behind its ports, `status` read, `done` held ready."""
    said = json.loads(Path(os.environ["BENCH_SCENARIOS"]).read_text())
    generator = random.Random(int(os.environ["BENCH_SEED"]))
    reads = [
        AxiRamRead(AxiReadBus.from_prefix(dut, f"m_axi_{channel}"), dut.clk, dut.rst, size=MEMORY_BYTES)
        for channel in range(said["channels"])
    ]
    bus = AxiWriteBus.from_prefix(dut, "m_axi_out")
    results = AxiRamWrite(bus, dut.clk, dut.rst, size=MEMORY_BYTES)
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
    for interface in (*reads, results, master.read_if, master.write_if):
        pause_all(generator, interface)
    for channel, address, beat in said["memory"]:
        reads[channel].write(address, bytes.fromhex(beat))
    await begin(dut, "done_ready")
    dut.done_ready.value = 1
    for layer in said["layers"]:
        for offset, word in layer["writes"]:
            await master.write_dword(offset, word)
        while (status := await master.read_dword(said["status"])) & 1:
            pass
        assert status == layer["status"]
        for address, beat in layer["results"]:
            assert bytes(results.read(address, len(beat) // 2)).hex() == beat
    told({"beats": sum(len(layer["results"]) for layer in said["layers"])})
