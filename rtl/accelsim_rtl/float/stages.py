"""The registers of an arithmetic pipeline: any number of them, spread over the places where it may be cut."""

from amaranth.hdl import Signal

from accelsim_rtl.topk.pipeline import delayed


class Stages:
    """`latency` registers over `cuts` places. The last place gets the first one, the others follow evenly.

    Beyond one for each place, more stand in a row, for a synthesis that moves registers.
    """

    def __init__(self, m, latency, cuts):
        self._m = m
        ends = [latency * (place + 1) // cuts for place in range(cuts)]
        self._registers = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
        self._place = 0

    def cut(self, **values):
        """The values behind the registers of the next place, in their order."""
        number, self._place = self._registers[self._place], self._place + 1
        held = []
        for name, value in values.items():
            wire = Signal(value.shape(), name=f"{name}_{self._place}")
            self._m.d.comb += wire.eq(value)
            held.append(delayed(self._m, wire, number, name=f"{name}_{self._place}_after"))
        return held
