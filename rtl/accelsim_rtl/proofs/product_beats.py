"""PxV: all beats of a row have room before its last line is taken, and rows do not meet on their way out."""

from amaranth.hdl import Assert, Module, Mux

from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.value_product import ValueProduct


class ProductBeats(Harness):
    """Around PxV. Taps: the store's pointers, the rows on their way to be copied, the beats that wait."""

    def __init__(self, unit: ValueProduct):
        parameters, depth = unit.parameters, unit.store.depth
        self.depth = depth
        self.most = parameters.beats(parameters.levels)
        self.copy_stages, self.out_stages = parameters.sum_cycles - 1, parameters.output_cycles - 1
        last = self.copy_stages
        taps = {
            "produce": ("store.produce", range(depth)),
            "consume": ("store.consume", range(depth)),
            "level": ("store.here.level", range(depth + 1)),
            "some": ("store.here.some", 1),
            "left": ("left", range(self.most + 1)),
            "busy": ("busy", range(self.most)),
            f"ends_{last}": ("copied_1", 1),
        }
        taps |= {f"ends_{stage}": (f"early_{stage}", 1) for stage in range(1, last)}
        taps |= {f"beats_{stage}": (f"beats_{stage}", range(self.most + 1)) for stage in range(1, last + 1)}
        taps |= {f"moving_{stage}": (f"arrives_{stage}", 1) for stage in range(1, self.out_stages + 1)}
        super().__init__(unit, taps=taps)

    def claim(self, m: Module):
        super().claim(m)
        last = self.copy_stages
        rows = {
            stage: (getattr(self, f"ends_{stage}"), getattr(self, f"beats_{stage}"))
            for stage in range(1, last + 1)
        }
        under_way = sum(getattr(self, f"moving_{stage}") for stage in range(1, self.out_stages + 1))
        to_come = sum(Mux(ends, beats, 0) for ends, beats in rows.values())
        m.d.comb += [
            Assert(self.promised == self.level + under_way + self.left + to_come),
            Assert(self.promised <= self.depth),
            Assert(self.some == (self.level != 0)),
            Assert(self.produce == (self.consume + self.level) % self.depth),
            Assert(self.left <= self.most),
        ]
        for stage, (ends, beats) in rows.items():
            m.d.comb += [
                Assert(~ends | ((beats != 0) & (beats <= self.most))),
                # The next row's last line is held back until this one's beats are out of its way.
                Assert(~ends | (self.busy + stage >= beats)),
                Assert(~ends | (self.left <= last - stage + 1)),
            ]
            m.d.comb += [
                Assert(~ends | ~older | (far - stage >= many))
                for far, (older, many) in rows.items()
                if far > stage
            ]
