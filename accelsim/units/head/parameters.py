"""How the head pipeline is built: its units follow from the numbers here, and so do its payloads.

Source: HPCA 2021 SpAtten, section 4 and Table I; widths of numbers are those of
`accelsim.golden.integer_attention`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from accelsim.golden.fixed import Fixed
from accelsim.golden.integer_attention import AttentionFormat
from accelsim.golden.softmax import SoftmaxFormat
from accelsim.golden.topk import LFSR_BITS
from accelsim.units.checks import require_range
from accelsim.units.decision import DECISION_CYCLES, KEPT_CYCLES, Decision
from accelsim.units.dot_product import DotProduct
from accelsim.units.fifo import Fifo
from accelsim.units.record import Field, Record, bits_for
from accelsim.units.score_accumulator import MOST_BITS, ScoreAccumulator
from accelsim.units.score_scale import ScoreScale
from accelsim.units.softmax import ROWS, Softmax
from accelsim.units.topk import TopK
from accelsim.units.value_product import ValueProduct
from accelsim.units.value_selection import ValueSelection

NOTHING = 0
"""The operation of a step of the program that only waits for rows; the others are the accumulator's."""

PROGRAM_ROWS_BITS = 16
"""Of the rows that a step waits for."""

MOST_IGNORED = 4
"""Least significant bits that a first pass leaves out: those of a fetch of their own (section 3)."""

ADDED_LINES = 4
"""Lines of probabilities before the accumulator: as many as a short row waits for its own sums."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """`multipliers` for QxK and for PxV; `tree_outputs` scores, probabilities and V vectors a clock at most.

    row_lines: of `tree_outputs` keys, of the longest row. store_rows: of them in each store. topk: the engine
    that selects V, but for its bits and capacity, which follow. importance_bits: of a sum of the tokens.
    requests: lines of V asked for and not used yet.
    """

    multipliers: int = 512
    operand_bits: int = 12
    tree_outputs: int = 8
    row_lines: int = 128
    store_rows: int = 2
    score_integer_bits: int = 7
    form: SoftmaxFormat = field(default_factory=SoftmaxFormat)
    topk: TopK = field(default_factory=TopK)
    output_fraction_bits: int = 4
    output_lanes: int = 16
    importance_bits: int = 32
    requests: int = 64

    def __post_init__(self) -> None:
        if self.tree_outputs > self.topk.width:
            raise ValueError(
                f"tree_outputs must be topk.width ({self.topk.width}) or less, not {self.tree_outputs}"
            )
        if self.keys < 2 * self.topk.width:
            raise ValueError(
                f"row_lines x tree_outputs must be two lines of topk.width ({self.topk.width}) or more, "
                f"not {self.keys}"
            )
        require_range("importance_bits", self.importance_bits, self.softmax.probability_bits, MOST_BITS)
        # Each refuses what it cannot be built of.
        for unit in ("dot", "scale", "softmax", "decision", "selection", "product", "accumulator"):
            getattr(self, unit)
        require_range("requests", self.requests, 1, 1 << 10)

    @property
    def keys(self) -> int:
        """Of the longest row."""
        return self.row_lines * self.tree_outputs

    @property
    def score(self) -> Fixed:
        """Between scaling and softmax."""
        return self.attention().score

    def attention(self, *, lsb_bits: int = 0, threshold: float = 0.0) -> AttentionFormat:
        """The golden format that the pipeline computes in."""
        return AttentionFormat(
            msb_bits=min(12, max(2, self.operand_bits - lsb_bits)),
            lsb_bits=lsb_bits,
            value_bits=min(16, self.operand_bits),
            threshold=threshold,
            score_integer_bits=self.score_integer_bits,
            output_fraction_bits=self.output_fraction_bits,
            softmax=self.form,
        )

    @property
    def dot(self) -> DotProduct:
        """QxK."""
        return DotProduct(
            multipliers=self.multipliers, operand_bits=self.operand_bits, tree_outputs=self.tree_outputs
        )

    @property
    def scale(self) -> ScoreScale:
        """Sums to scores."""
        return ScoreScale(
            lanes=self.tree_outputs,
            sum_bits=self.dot.sum_bits,
            score_bits=self.score.width,
            keys=self.keys,
            rounding=self.form.rounding,
        )

    @property
    def softmax(self) -> Softmax:
        """Scores to probabilities."""
        return Softmax(
            lanes=self.tree_outputs,
            row_lines=self.row_lines,
            store_rows=self.store_rows,
            score_bits=self.score.width,
            form=self.form,
        )

    @property
    def decision(self) -> Decision:
        """Rows that are kept, and rows that are asked for anew."""
        return Decision(
            lanes=self.tree_outputs,
            row_lines=self.row_lines,
            store_rows=self.store_rows,
            probability_bits=self.softmax.probability_bits,
            tag_bits=self.tag.width,
        )

    @property
    def selection(self) -> ValueSelection:
        """Local V; 1.0 has a bit of its own, so that what is kept is what PxV takes."""
        return ValueSelection(
            lanes=self.tree_outputs,
            vectors=self.tree_outputs,
            topk=replace(self.topk, bits=self.softmax.probability_bits, capacity=self.keys),
        )

    @property
    def product(self) -> ValueProduct:
        """PxV."""
        return ValueProduct(
            multipliers=self.multipliers,
            operand_bits=self.operand_bits,
            vectors=self.tree_outputs,
            keys=self.keys,
            probability_fraction_bits=self.form.probability_fraction_bits,
            output_fraction_bits=self.output_fraction_bits,
            rounding=self.form.rounding,
            output_lanes=self.output_lanes,
        )

    @property
    def accumulator(self) -> ScoreAccumulator:
        """Importance of the tokens."""
        return ScoreAccumulator(
            width=self.tree_outputs,
            score_bits=self.softmax.probability_bits,
            sum_bits=self.importance_bits,
            capacity=self.keys,
        )

    @property
    def latencies(self) -> dict[str, int]:
        """From a unit's last line of a row to the next unit's first, in the order of the row."""
        softmax = self.softmax
        return {
            "qk_cycles": self.dot.latency_cycles,
            "scale_cycles": self.scale.latency_cycles,
            "sum_cycles": softmax.largest_cycles + softmax.sum_cycles,
            "divide_cycles": softmax.divide_cycles,
            "decision_cycles": DECISION_CYCLES + KEPT_CYCLES,
            "product_cycles": self.product.latency_cycles,
            "lines_per_clock": 1,
        }

    @property
    def queries(self) -> Record:
        """A row: its query, then the numbers that docs/rtl_spatten.md lists."""
        return Record(
            operands=Field(self.operand_bits, self.multipliers, signed=True),
            number=LFSR_BITS,
            level=bits_for(self.dot.levels),
            value_level=bits_for(self.dot.levels),
            keys=bits_for(self.keys),
            visible=bits_for(self.keys),
            values=bits_for(self.keys),
            scale=self.scale.rows.fields["scale"],
            shift=self.scale.rows.fields["shift"],
            threshold=self.softmax.probability_bits,
            ignored=bits_for(MOST_IGNORED),
            whole=1,
            counts=1,
        )

    @property
    def key_lines(self) -> Record:
        """A line of K, and whether it is its row's last."""
        return Record(operands=Field(self.operand_bits, self.multipliers, signed=True), last=1)

    @property
    def value_requests(self) -> Record:
        """The vectors of a line of V, and whether it is its row's last."""
        return Record(
            indices=Field(self.selection.topk.index_bits, self.tree_outputs),
            count=bits_for(self.tree_outputs),
            last=1,
            number=LFSR_BITS,
        )

    @property
    def importance(self) -> Record:
        """A step of the program: after `rows` more rows an operation on the first `count` sums."""
        return Record(operation=2, count=bits_for(self.keys), rows=PROGRAM_ROWS_BITS)

    @property
    def tag(self) -> Record:
        """What goes with a row through the decision."""
        return Record(
            number=LFSR_BITS,
            keys=bits_for(self.keys),
            values=bits_for(self.keys),
            spread=bits_for((self.tree_outputs - 1).bit_length()),
            counts=1,
        )

    @property
    def scale_rows(self) -> Fifo:
        """Rows between QxK and the scaling: as many as may be between QxK and the softmax's second pass."""
        return Fifo(depth=2 * ROWS, bits=self.scale.rows.width)

    @property
    def decision_rows(self) -> Fifo:
        """Rows between QxK and the decision."""
        decision = self.decision
        return Fifo(depth=2 * ROWS, bits=decision.tag_bits + decision.probability_bits + 1)

    @property
    def added_lines(self) -> Fifo:
        """Lines of probabilities before the accumulator."""
        return Fifo(depth=ADDED_LINES, bits=self.tree_outputs * self.softmax.probability_bits)

    @property
    def added_rows(self) -> Fifo:
        """Their rows: how many keys."""
        return Fifo(depth=ADDED_LINES, bits=bits_for(self.keys))

    @property
    def weights(self) -> Fifo:
        """Probabilities whose V is asked for."""
        return Fifo(depth=self.requests, bits=self.product.weights.width)


PRESETS = {
    "full": Head(),
    "eighth": Head(multipliers=64, output_lanes=8),
    "tiny": Head(
        multipliers=4,
        operand_bits=5,
        tree_outputs=2,
        row_lines=8,
        score_integer_bits=4,
        form=SoftmaxFormat(
            score_fraction_bits=4, exp_fraction_bits=10, degree=2, probability_fraction_bits=6
        ),
        topk=TopK(width=2, capacity=16),
        output_fraction_bits=2,
        output_lanes=2,
        importance_bits=9,
        requests=4,
    ),
}
