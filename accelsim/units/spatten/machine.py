"""The machine clock by clock: the models of its units, and what stands between them.

Software fills the registers and the lists of kept tokens and heads, and starts a layer. For each head Q, K
and V are fetched into the stores; row by row a query and all lines of K go to the head pipeline, which asks
for V and gives outputs; flat rows are sent again when the least significant parts of K are there.
"""

from __future__ import annotations

from collections.abc import Mapping

from accelsim.units import write_master
from accelsim.units.head import Model as HeadModel
from accelsim.units.registers import Slave
from accelsim.units.spatten.fetching import Fetched, Fetching
from accelsim.units.spatten.jobs import Begun, Jobs, Settings
from accelsim.units.spatten.parameters import KEY, QUERY, VALUE, Machine
from accelsim.units.spatten.results import Results
from accelsim.units.spatten.results import Taken as ResultsTaken
from accelsim.units.spatten.rows import Moved, Rows
from accelsim.units.spatten.stores import Asked, Stored, Stores, Taken, offer
from accelsim.units.spatten.values import Requests
from accelsim.units.step import Row
from accelsim.units.vector_store import unpack_read


class Model:
    """Streams: s_axil; m_axi_0, ... (memory of Q, K and V); m_axi_out (of results); `done` of each layer."""

    def __init__(self, parameters: Machine) -> None:
        self.parameters = parameters
        self._head = HeadModel(parameters.head)
        self._fetching, self._jobs, self._stores = Fetching(parameters), Jobs(parameters), Stores(parameters)
        self._rows, self._requests = Rows(parameters), Requests(parameters)
        self._results, self._writer = Results(parameters), write_master.Model(parameters.writer)
        self.reset()

    def reset(self) -> None:
        """No layer, empty lists."""
        for part in (
            *(self._head, self._fetching, self._jobs, self._stores),
            *(self._rows, self._requests, self._results, self._writer),
        ):
            part.reset()
        self._slave = Slave(self.parameters.map)
        self._positions: list[int] = []
        self._heads: list[tuple[int, int]] = []
        self._still: Row = {}

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        settings, pulses = dict(self._slave.values), set(self._slave.pulses)
        tokens, heads, busy = len(self._positions), len(self._heads), self._results.busy
        failed = self._results.failed
        begins = bool(
            "control_start" in pulses and not busy and tokens and heads and settings["layer_queries"]
        )
        counts: list[str] = []
        row = self._still
        if begins or busy or not row:
            row, counts = self._work(inputs, settings, begins)
        if not begins and not busy:
            self._still = row
        status = {
            "status_busy": int(busy),
            "status_tokens": tokens,
            "status_heads": heads,
            "status_failed": int(failed),
        }
        row = row | self._slave.step(inputs, status, [f"count_{name}_value" for name in counts])
        self._list(settings, pulses)
        return row

    def _work(self, inputs: Mapping[str, int], settings: Settings, begins: bool) -> tuple[Row, list[str]]:
        """A clock of all but the registers, and the counters that go up. Between layers nothing moves."""
        tokens, heads = len(self._positions), len(self._heads)
        rows, requests, stores, results = self._rows, self._requests, self._stores, self._results
        shown = results.shown()

        # What the pipeline is offered, and what it makes of it.
        lines = (rows.query(settings, tokens, stores.query), stores.keys, stores.values(settings))
        program = rows.program(settings, tokens)
        head = self._head.step(
            {
                **offer("queries", lines[0]),
                **offer("keys", lines[1]),
                **offer("values", lines[2]),
                **offer("importance", program),
                "refetch_ready": int(rows.takes_again),
                "requests_ready": int(requests.ready),
                "results_ready": shown["results_ready"],
                "sums_ready": shown["sums_ready"],
            }
        )
        taken = Taken(
            query=lines[0] is not None and bool(head["queries_ready"]),
            keys=lines[1] is not None and bool(head["keys_ready"]),
            values=lines[2] is not None and bool(head["values_ready"]),
        )
        again = taken.query and rows.row is not None and rows.row.least
        request = _taken(head, "requests", requests.ready)

        # What the pipeline takes, and what is fetched meanwhile.
        fetched, stored, jobs = self._fetch(inputs, settings, taken, begins)
        written = self._writer.step(
            {
                **{
                    f"m_axi{name[9:]}": value
                    for name, value in inputs.items()
                    if name.startswith("m_axi_out_")
                },
                **{f"requests_{word}": shown[f"transfers_{word}"] for word in ("valid", "payload")},
                **{f"beats_{word}": shown[f"beats_{word}"] for word in ("valid", "payload")},
                "done_ready": 1,
            }
        )
        row = fetched.row | {
            f"m_axi_out{name[5:]}": value for name, value in written.items() if name.startswith("m_axi")
        }
        row |= {name: shown[name] for name in ("done_valid", "done_payload")}
        counts = {
            "bursts": self._fetching.moved,
            "rows": taken.query,
            "again": again,
            "lines": taken.keys,
            "values": taken.values,
            "written": written["m_axi_w_valid"] and inputs["m_axi_out_w_ready"],
            "errors": fetched.error,
            "busy": results.busy,
        }

        # Their clock edges.
        rows.step(
            settings,
            Moved(
                again=_taken(head, "refetch", rows.takes_again),
                kept=request is not None
                and bool(self.parameters.head.value_requests.field_of(request, "last")),
                query=taken.query,
                key_reads=stored.keys,
                query_reads=stored.query,
                least=jobs.least,
                step=program is not None and bool(head["importance_ready"]),
            ),
            begins=begins,
            tokens=tokens,
            heads=heads,
        )
        requests.step(
            settings,
            request=request,
            gathers=stored.values,
            begins_row=jobs.values,
            token=fetched.asked,
            begins=begins,
        )
        results.step(
            settings,
            ResultsTaken(
                result=_taken(head, "results", bool(shown["results_ready"])),
                sums=_taken(head, "sums", bool(shown["sums_ready"])),
                transfer=bool(shown["transfers_valid"] and written["requests_ready"]),
                beat=bool(shown["beats_valid"] and written["beats_ready"]),
                answer=written["done_payload"] if written["done_valid"] else None,
                done=bool(shown["done_valid"] and inputs["done_ready"]),
            ),
            begins=begins,
            tokens=tokens,
            heads=heads,
            error=fetched.error,
        )
        return row, [name for name, up in counts.items() if up]

    def _fetch(
        self, inputs: Mapping[str, int], settings: Settings, taken: Taken, begins: bool
    ) -> tuple[Fetched, Stored, Begun]:
        """The way from memory into the stores, and out of them."""
        jobs, rows, requests, fetching = self._jobs, self._rows, self._requests, self._fetching
        wants_least = rows.head if rows.wants_least else None
        wants_values = requests.wants_values(settings)
        begun = Begun(
            least=wants_least is not None and jobs.ready,
            values=wants_values is not None and wants_least is None and jobs.ready,
        )
        query, values = rows.query_request, requests.gathering(settings)
        store, fill, reads = fetching.store, fetching.fill(settings), rows.reads
        takes = jobs.offered is not None and fetching.room
        fetched = fetching.step(
            inputs,
            settings,
            positions=self._positions,
            asked=requests.asked,
            line_ready=self._stores.takes_row_pieces(taken.values),
            job=jobs.offered if takes else None,
        )
        stored = self._stores.step(
            settings,
            Asked(store=store, fill=fill, piece=fetched.piece, query=query, keys=reads, values=values),
            taken,
        )
        fetching.begin(settings, stored.fill)
        gathering = self.parameters.gathering
        releases = {
            QUERY: stored.query and bool(gathering.field_of(query or 0, "releases")),
            KEY: reads is not None and stored.keys and unpack_read(self.parameters.store, reads).releases,
            VALUE: stored.values and bool(gathering.field_of(values or 0, "releases")),
        }
        jobs.step(
            settings,
            begins=begins,
            tokens=len(self._positions),
            heads=self._heads,
            least=wants_least,
            values=wants_values,
            releases=releases,
            takes=takes,
        )
        return fetched, stored, begun

    def _list(self, settings: Settings, pulses: set[str]) -> None:
        """The lists that software fills."""
        if "token_append" in pulses and len(self._positions) < self.parameters.head.keys:
            self._positions.append(settings["token_position"])
        if "head_append" in pulses and len(self._heads) < self.parameters.heads:
            self._heads.append((settings["head_query"], settings["head_stored"]))
        if "control_clear" in pulses:
            self._positions, self._heads = [], []


def _taken(row: Row, stream: str, ready: bool) -> int | None:
    """The payload of a stream of the pipeline that is taken in this clock."""
    return row[f"{stream}_payload"] if row[f"{stream}_valid"] and ready else None
