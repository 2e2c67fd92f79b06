"""What software sees of the machine: one layer a start, its lists of kept tokens and heads, and counters."""

from __future__ import annotations

from accelsim.units.bit_width_converter import COUNT_BITS, WIDTH_BITS
from accelsim.units.head import Head
from accelsim.units.record import bits_for
from accelsim.units.registers import Constant, Field, Register, RegisterMap

COUNTER_BITS = 32

COUNTERS = (
    ("bursts", "Bursts that were asked for."),
    ("rows", "Rows that were sent, those that were sent again among them."),
    ("again", "Rows that were sent again, with their least significant parts."),
    ("lines", "Lines of K that the head took."),
    ("values", "Lines of V that the head took."),
    ("written", "Beats that were written."),
    ("errors", "Beats that came with an error; of those that went see `status.failed`."),
    ("busy", "Clocks in which a layer was in work."),
)


def register_map(
    *,
    beat_address_bits: int,
    address_bits: int,
    burst_bits: int,
    position_bits: int,
    heads: int,
    head: Head,
    constants: tuple[Constant, ...],
) -> RegisterMap:
    """The registers; the numbers are those of the machine."""
    keys, levels = bits_for(head.keys), bits_for(head.dot.levels)
    vectors = [
        register
        for kind, what in (
            ("query", "Q, most and least significant parts in one"),
            ("key", "K, most significant parts"),
            ("least", "K, least significant parts"),
            ("value", "V"),
        )
        for register in (
            Register(
                name=kind,
                sentence=f"{what}.",
                fields=(Field(name="base", bits=beat_address_bits, sentence="The first beat of head 0."),),
            ),
            Register(
                name=f"{kind}_head",
                sentence="Beats from a head to the next.",
                fields=(Field(name="stride", bits=beat_address_bits),),
            ),
            Register(
                name=f"{kind}_record",
                sentence="A vector in memory.",
                fields=(
                    Field(name="width", bits=WIDTH_BITS, sentence="Bits of an element."),
                    Field(name="beats", bits=burst_bits, sentence="Of a vector."),
                ),
            ),
        )
    ]
    return RegisterMap(
        name="spatten",
        constants=constants,
        sentence="SpAtten: the attention of one layer, head by head and query by query. Write nothing but "
        "counters while `status.busy`.",
        registers=(
            Register(
                name="control",
                fields=(
                    Field(
                        name="start",
                        access="pulse",
                        sentence="Begin, if neither list is empty, `queries` is not 0 and `busy` is 0; else "
                        "nothing happens.",
                    ),
                    Field(name="clear", access="pulse", sentence="Empty the lists of tokens and heads."),
                ),
            ),
            Register(
                name="status",
                fields=(
                    Field(
                        name="busy", access="ro", sentence="A layer is in work, or its `done` is not taken."
                    ),
                    Field(name="tokens", bits=keys, access="ro", sentence="In the list."),
                    Field(name="heads", bits=bits_for(heads), access="ro", sentence="In the list."),
                    Field(
                        name="failed",
                        access="ro",
                        sentence="A beat of the last layer came or went with an error; 0 when one begins.",
                    ),
                ),
            ),
            Register(
                name="token",
                sentence="A kept token; ascending.",
                fields=(
                    Field(name="position", bits=position_bits),
                    Field(name="append", access="pulse", sentence="Put it behind the list."),
                ),
            ),
            Register(
                name="head",
                sentence="A kept head.",
                fields=(
                    Field(name="query", bits=bits_for(heads - 1), sentence="The head whose Q it is."),
                    Field(
                        name="stored", bits=bits_for(heads - 1), sentence="The head whose K and V it uses."
                    ),
                    Field(name="append", access="pulse", sentence="Put it behind the list."),
                ),
            ),
            Register(
                name="layer",
                fields=(
                    Field(name="queries", bits=keys, sentence="Of a head."),
                    Field(name="values", bits=keys, sentence="V that a row keeps."),
                    Field(name="visible", bits=keys, sentence="Keys that the first query sees, if `causal`."),
                    Field(name="causal", sentence="Each query sees a key more than the one before."),
                    Field(name="listed", sentence="Of the first kept tokens, not of positions 0, 1, 2, ..."),
                    Field(name="streamed", sentence="V is fetched row by row, what a row keeps."),
                ),
            ),
            Register(
                name="vectors",
                fields=(
                    Field(name="dim", bits=COUNT_BITS, sentence="Elements of a vector of Q and K."),
                    Field(name="value_dim", bits=COUNT_BITS, sentence="Elements of a vector of V."),
                    Field(name="level", bits=levels, sentence="Q and K stand in 2^level places."),
                    Field(name="value_level", bits=levels, sentence="V stands in 2^level places."),
                ),
            ),
            Register(
                name="score",
                fields=(
                    Field(
                        name="scale",
                        bits=head.queries.fields["scale"].bits,
                        sentence="A score is a sum of products times this over 2^shift, in steps of "
                        f"2^-{head.form.score_fraction_bits}.",
                    ),
                    Field(name="shift", bits=head.queries.fields["shift"].bits),
                    Field(
                        name="threshold",
                        bits=head.queries.fields["threshold"].bits,
                        sentence="A row is sent again if its largest probability is below, in steps of "
                        f"2^-{head.form.probability_fraction_bits}; only if `ignored` is not 0.",
                    ),
                    Field(
                        name="ignored",
                        bits=head.queries.fields["ignored"].bits,
                        sentence="Bits of the least significant parts; 0: there are none.",
                    ),
                ),
            ),
            *vectors,
            *(
                Register(
                    name=name,
                    sentence=sentence,
                    fields=(
                        Field(
                            name="address",
                            bits=address_bits,
                            sentence="In bytes, a multiple of a beat, at `m_axi_out`.",
                        ),
                    ),
                )
                for name, sentence in (
                    ("outputs", "Where outputs go, row by row."),
                    ("importance", "Where the sums of the probabilities of the kept tokens go."),
                    ("magnitudes", "Where the sums of the outputs' magnitudes go, a beat a head."),
                )
            ),
            *(
                Register(
                    name=f"count_{name}",
                    fields=(Field(name="value", bits=COUNTER_BITS, access="counter", sentence=sentence),),
                )
                for name, sentence in COUNTERS
            ),
        ),
    )
