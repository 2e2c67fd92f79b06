"""The proofs of SpAtten's units."""

from accelsim.golden.softmax import SoftmaxFormat
from accelsim.units.bit_width_converter import BitWidthConverter as BitWidthConverterParameters
from accelsim.units.crossbar import Crossbar as CrossbarParameters
from accelsim.units.decision import KEPT_CYCLES
from accelsim.units.decision import Decision as DecisionParameters
from accelsim.units.dot_product import DotProduct as DotProductParameters
from accelsim.units.exponent import Exponent as ExponentParameters
from accelsim.units.fetch_stage import FetchStage as FetchStageParameters
from accelsim.units.fetcher import Fetcher as FetcherParameters
from accelsim.units.prefix_sum import PrefixSum as PrefixSumParameters
from accelsim.units.score_accumulator import ScoreAccumulator as ScoreAccumulatorParameters
from accelsim.units.score_scale import ScoreScale as ScoreScaleParameters
from accelsim.units.softmax import Softmax as SoftmaxParameters
from accelsim.units.spatten import PRESETS as MACHINES
from accelsim.units.topk import TopK as TopKParameters
from accelsim.units.value_product import ValueProduct as ValueProductParameters
from accelsim.units.value_selection import ValueSelection as ValueSelectionParameters
from accelsim.units.vector_store import VectorStore as VectorStoreParameters
from accelsim.units.zero_eliminator import ZeroEliminator as ZeroEliminatorParameters
from accelsim_rtl.axi.registers import RegisterFile
from accelsim_rtl.bit_width_converter import BitWidthConverter
from accelsim_rtl.crossbar import Crossbar
from accelsim_rtl.decision import Decision
from accelsim_rtl.dot_product import DotProduct
from accelsim_rtl.exponent import Exponent
from accelsim_rtl.fetcher import Fetcher
from accelsim_rtl.front_queue import FrontQueue
from accelsim_rtl.prefix_sum import PrefixSum
from accelsim_rtl.proofs.claims import (
    CONVERTER,
    CROSSBAR,
    HALVES,
    PRODUCT,
    PROMISED,
    QUEUE,
    SCORE_ACCUMULATOR,
    STREAM_RULE,
    TOPK_STORE,
    TOPK_THRESHOLD,
    ZERO_ELIMINATOR,
)
from accelsim_rtl.proofs.converter_beats import ConverterBeats
from accelsim_rtl.proofs.crossbar_beats import CrossbarBeats
from accelsim_rtl.proofs.fetched import FetchedBeats, StoreHalves
from accelsim_rtl.proofs.front_queue_order import FrontQueueOrder
from accelsim_rtl.proofs.product_beats import ProductBeats
from accelsim_rtl.proofs.promised_lines import PromisedLines, ShortPipeline
from accelsim_rtl.proofs.prover import Proof
from accelsim_rtl.proofs.running import (
    RunningGather,
    RunningJobs,
    RunningRequests,
    RunningResults,
    RunningRows,
    RunningTokens,
)
from accelsim_rtl.proofs.score_accumulator_store import ScoreAccumulatorStore
from accelsim_rtl.proofs.selected_lines import SelectedLines
from accelsim_rtl.proofs.topk_streams import TopKStore, TopKThreshold
from accelsim_rtl.proofs.watching import Harness
from accelsim_rtl.proofs.zero_eliminator_order import ZeroEliminatorOrder
from accelsim_rtl.score_accumulator import ScoreAccumulator
from accelsim_rtl.score_scale import ScoreScale
from accelsim_rtl.softmax import Softmax
from accelsim_rtl.topk.engine import TopK
from accelsim_rtl.topk.store import Store
from accelsim_rtl.value_product import ValueProduct
from accelsim_rtl.value_selection import ValueSelection
from accelsim_rtl.vector_store import VectorStore
from accelsim_rtl.zero_eliminator import ZeroEliminator

COARSE = SoftmaxFormat(score_fraction_bits=1, exp_fraction_bits=8, degree=1, probability_fraction_bits=2)


def _short() -> PromisedLines:
    unit = ShortPipeline()
    return PromisedLines(unit, unit.store, moving="arrives", stages=1)


def _exponent() -> PromisedLines:
    unit = Exponent(ExponentParameters(lanes=1, distance_bits=4, form=COARSE))
    return PromisedLines(unit, unit.store, moving="arrives", stages=unit.parameters.latency_cycles)


def _softmax() -> PromisedLines:
    unit = Softmax(SoftmaxParameters(lanes=1, row_lines=2, store_rows=1, score_bits=3, form=COARSE))
    return PromisedLines(unit, unit.store, moving="divided", stages=unit.parameters.divide_cycles - 1)


def _decision() -> PromisedLines:
    unit = Decision(DecisionParameters(lanes=1, row_lines=2, store_rows=1, probability_bits=2, tag_bits=2))
    return PromisedLines(unit, unit.store, moving="arrives", stages=KEPT_CYCLES - 1)


def _dot_product() -> PromisedLines:
    unit = DotProduct(DotProductParameters(multipliers=2, operand_bits=2, tree_outputs=2))
    return PromisedLines(unit, unit.store, moving="arrives", stages=unit.parameters.latency_cycles - 1)


def _score_scale() -> PromisedLines:
    unit = ScoreScale(ScoreScaleParameters(lanes=2, sum_bits=3, score_bits=2, keys=4))
    return PromisedLines(unit, unit.store, moving="arrives", stages=unit.parameters.latency_cycles - 1)


def _value_product() -> ProductBeats:
    return ProductBeats(
        ValueProduct(
            ValueProductParameters(
                multipliers=2,
                operand_bits=2,
                vectors=2,
                keys=2,
                probability_fraction_bits=1,
                output_fraction_bits=0,
                output_lanes=1,
            )
        )
    )


def _value_selection() -> SelectedLines:
    engine = TopKParameters(engine="radix", width=2, bits=2, digit_bits=2, capacity=4)
    return SelectedLines(ValueSelection(ValueSelectionParameters(lanes=2, vectors=2, topk=engine)))


PROOFS = (
    Proof(
        unit="spatten.zero_eliminator",
        claim=ZERO_ELIMINATOR,
        bounds="low_latency, 2 lanes, 4 bits",
        harness=lambda: ZeroEliminatorOrder(ZeroEliminator(ZeroEliminatorParameters(lanes=2, bits=4))),
    ),
    Proof(
        unit="spatten.zero_eliminator",
        claim=ZERO_ELIMINATOR,
        bounds="max_frequency, 2 lanes, 2 bits",
        harness=lambda: ZeroEliminatorOrder(
            ZeroEliminator(ZeroEliminatorParameters(lanes=2, bits=2, registers="max_frequency"))
        ),
    ),
    Proof(
        unit="spatten.zero_eliminator",
        claim=ZERO_ELIMINATOR,
        bounds="low_latency, 4 lanes, 2 bits",
        harness=lambda: ZeroEliminatorOrder(ZeroEliminator(ZeroEliminatorParameters(lanes=4, bits=2))),
    ),
    Proof(
        unit="spatten.zero_eliminator",
        claim=STREAM_RULE,
        bounds="low_latency, 4 lanes, 4 bits",
        harness=lambda: Harness(ZeroEliminator(ZeroEliminatorParameters(lanes=4, bits=4))),
    ),
    Proof(
        unit="spatten.zero_eliminator",
        claim=STREAM_RULE,
        bounds="max_frequency, 4 lanes, 4 bits",
        harness=lambda: Harness(
            ZeroEliminator(ZeroEliminatorParameters(lanes=4, bits=4, registers="max_frequency"))
        ),
    ),
    Proof(
        unit="spatten.score_accumulator",
        claim=SCORE_ACCUMULATOR,
        bounds="4 lanes, 16 tokens, sums of 8 bits",
        harness=lambda: ScoreAccumulatorStore(
            ScoreAccumulator(ScoreAccumulatorParameters(width=4, capacity=16, score_bits=4, sum_bits=8))
        ),
    ),
    Proof(
        unit="spatten.topk",
        claim=TOPK_STORE,
        bounds="2 lanes, 2 bits, 4 scores; what the filter gives is assumed to fit what it was given",
        harness=lambda: TopKStore(Store(TopKParameters(width=2, bits=2, capacity=4))),
    ),
    Proof(
        unit="spatten.topk",
        claim=TOPK_THRESHOLD,
        bounds="radix, 2 lanes, 4 bits, 8 scores",
        harness=lambda: TopKThreshold(
            TopK(TopKParameters(engine="radix", width=2, bits=4, digit_bits=2, capacity=8))
        ),
    ),
    Proof(
        unit="spatten.topk",
        claim=TOPK_THRESHOLD,
        bounds="quick, 2 lanes, 3 bits, 8 scores",
        harness=lambda: TopKThreshold(TopK(TopKParameters(width=2, bits=3, capacity=8))),
    ),
    Proof(
        unit="spatten.crossbar",
        claim=CROSSBAR,
        bounds="4 inputs, 3 outputs, 5 bits, no FIFOs",
        harness=lambda: CrossbarBeats(
            Crossbar(CrossbarParameters(inputs=4, outputs=3, bits=5, position=1, input_depth=0))
        ),
    ),
    Proof(
        unit="spatten.crossbar",
        claim=CROSSBAR,
        bounds="3 inputs with FIFOs of 2, 2 outputs, 3 bits",
        harness=lambda: CrossbarBeats(
            Crossbar(CrossbarParameters(inputs=3, outputs=2, bits=3, position=0, input_depth=2))
        ),
    ),
    Proof(
        unit="spatten.bit_width_converter",
        claim=CONVERTER,
        bounds="4 lanes, 2, 3 and 6 bits, beats of 16",
        harness=lambda: ConverterBeats(
            BitWidthConverter(
                BitWidthConverterParameters(beat_bits=16, lanes=4, operand_bits=8, widths=(2, 3, 6))
            )
        ),
    ),
    Proof(
        unit="spatten.exponent",
        claim=PROMISED,
        bounds="its store alone, of 2 lines of 2 bits behind a register",
        harness=_short,
    ),
    Proof(
        unit="spatten.exponent",
        claim=PROMISED,
        bounds="1 lane, distances of 4 bits, powers of 9",
        harness=_exponent,
    ),
    Proof(
        unit="spatten.softmax",
        claim=PROMISED,
        bounds="1 lane, rows of 2 lines, scores and probabilities of 3 bits",
        harness=_softmax,
    ),
    Proof(
        unit="spatten.softmax",
        claim=QUEUE,
        bounds="the queues of its row stores, 4 words of 2 bits",
        harness=lambda: FrontQueueOrder(FrontQueue(bits=2, depth=4)),
    ),
    Proof(
        unit="spatten.decision",
        claim=PROMISED,
        bounds="1 lane, rows of 2 lines, probabilities of 2 bits",
        harness=_decision,
    ),
    Proof(
        unit="spatten.dot_product",
        claim=PROMISED,
        bounds="2 multipliers, operands of 2 bits",
        harness=_dot_product,
    ),
    Proof(
        unit="spatten.score_scale",
        claim=PROMISED,
        bounds="2 lanes, sums of 3 bits, scores of 2",
        harness=_score_scale,
    ),
    Proof(
        unit="spatten.value_product",
        claim=PRODUCT,
        bounds="2 multipliers, rows of 1 or 2 beats, operands of 2 bits",
        harness=_value_product,
    ),
    Proof(
        unit="spatten.value_selection",
        claim=STREAM_RULE,
        bounds="radix, 2 lanes, 2 bits, 4 scores",
        harness=_value_selection,
    ),
    Proof(
        unit="spatten.fetcher",
        claim=STREAM_RULE,
        bounds="a channel and a port of 2 slots, beats of 8 bits; the bus answers what it was asked for",
        harness=lambda: FetchedBeats(
            Fetcher(
                FetcherParameters(
                    address_bits=12, beat_bits=8, channels=1, ports=1, slots=2, position_bits=2, burst_bits=2
                )
            )
        ),
    ),
    Proof(
        unit="spatten.fetch_stage",
        claim=STREAM_RULE,
        bounds="4 slots, beats of 256 bits; the bus answers what it was asked for",
        harness=lambda: FetchedBeats(
            Fetcher(FetchStageParameters(address_bits=12, slots=4, position_bits=2, burst_bits=2))
        ),
    ),
    Proof(
        unit="spatten.vector_store",
        claim=HALVES,
        bounds="2 banks of 2 lines, operands of 2 bits",
        harness=lambda: StoreHalves(
            VectorStore(VectorStoreParameters(banks=2, lanes=1, operand_bits=2, lsb_bits=1, lines=2))
        ),
    ),
    Proof(
        unit="spatten",
        claim=STREAM_RULE,
        bounds="its registers",
        harness=lambda: Harness(RegisterFile(MACHINES["tiny"].map)),
    ),
    *(
        Proof(
            unit="spatten",
            claim=STREAM_RULE,
            bounds=f"its {part}, preset tiny, while a layer runs",
            harness=lambda made=harness: made(MACHINES["tiny"]),
        )
        for part, harness in (
            ("gatherers", RunningGather),
            ("jobs", RunningJobs),
            ("tokens of jobs", RunningTokens),
            ("rows", RunningRows),
            ("requests for V", RunningRequests),
            ("results", RunningResults),
        )
    ),
    Proof(
        unit="spatten.prefix_sum",
        claim=STREAM_RULE,
        bounds="low_latency, 8 lanes",
        harness=lambda: Harness(PrefixSum(PrefixSumParameters(lanes=8))),
    ),
    Proof(
        unit="spatten.prefix_sum",
        claim=STREAM_RULE,
        bounds="max_frequency, 8 lanes",
        harness=lambda: Harness(PrefixSum(PrefixSumParameters(lanes=8, registers="max_frequency"))),
    ),
)
