"""The bench on Amaranth's own simulator: the same drive as under cocotb, on the component itself."""

from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from accelsim_rtl.bench.drive import Drive
from accelsim_rtl.kit.ports import columns, ports

PERIOD_SECONDS = 10e-9


def run(component, scenarios, waves=None) -> list[dict]:
    """`Drive.result` of every scenario; `waves`: a VCD file of all of them."""
    found = ports(component)
    names, pins = columns(found), {port.name: port.value for port in found}
    module = Module()
    module.domains.sync = domain = ClockDomain("sync")
    module.submodules.unit = component
    pins["rst"] = domain.rst
    results = []

    async def bench(context):
        for scenario in scenarios:
            drive = Drive(scenario, names)
            for name, value in (drive.inputs() | {"rst": 1}).items():
                context.set(pins[name], value)
            await context.tick()
            await _drive(context, drive, pins)
            results.append(drive.result())

    simulator = Simulator(module)
    simulator.add_clock(PERIOD_SECONDS)
    simulator.add_testbench(bench)
    if waves is None:
        simulator.run()
    else:
        with simulator.write_vcd(str(waves)):
            simulator.run()
    return results


async def _drive(context, drive, pins):
    driven = {}
    while drive.running:
        for name, value in drive.inputs().items():
            if driven.get(name) != value:
                context.set(pins[name], value)
                driven[name] = value
        drive.sampled({name: context.get(pins[name]) for name in drive.columns})
        await context.tick()
