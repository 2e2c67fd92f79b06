"""A report as one HTML page that needs nothing else: no network, no server, no other file.

Every text passes Jinja's autoescape: names come from strangers' models and must not run as script. The page's
own script is the only one that its content security policy lets run, and nothing may be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import sys
import zlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from accelsim import __version__
from accelsim.extras import require
from accelsim.files import plain_number
from accelsim.report.page.sections import Section, interval, section
from accelsim.report.page.workloads import pictures
from accelsim.report.quantities import figure, joules, seconds, size, times
from accelsim.report.report import Report

HERE = Path(__file__).parent
PACKAGES = ("numpy", "numba", "torch", "transformers")
MOST_PLAIN = 500_000
"""Characters of JSON that stand in a page as they are; more are deflated, to some 5 % of it."""


def require_page(flag: str = "an HTML report") -> None:
    """Raise MissingExtraError, naming the extra, if pages cannot be made here."""
    require(flag, "jinja2", extra="plot")


def page(reports: Sequence[Report], *, command: str = "", several: bool = False) -> str:
    """The page of one report, or of one model on several machines.

    Equal reports give equal text; that of deflated figures follows the version of zlib.
    `command`: what they were made with. `several`: the page's JSON is a list, even of one report.
    """
    require_page()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "seconds": seconds,
        "size": size,
        "joules": joules,
        "times": times,
        "figure": figure,
        "percent": _percent,
        "interval": interval,
        "change": _change,
        "breakable": _breakable,
        "whole": lambda value: "-" if value is None else f"{value:,}",
    }
    sections = [section(report, index) for index, report in enumerate(reports)]
    values = [report.to_dict() for report in reports]
    figures = embedded(values if several or len(values) > 1 else values[0])
    packed = len(figures) > MOST_PLAIN
    script = (HERE / "script.js").read_text(encoding="utf-8")
    text: str = environment.get_template("page.html").render(
        title=_title(reports, sections),
        command=command,
        sections=sections,
        pictures=pictures(reports[0].workload),
        versions=_versions(),
        style=_trusted((HERE / "style.css").read_text(encoding="utf-8")),
        script=_trusted(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        packed=packed,
        figures=_trusted(deflated(figures) if packed else figures),
    )
    return text


def embedded(values: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or begins another."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":"), default=plain_number)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def deflated(text: str) -> str:
    """Text as a browser's DecompressionStream("deflate") takes it, in base64."""
    return base64.b64encode(zlib.compress(text.encode(), level=9)).decode()


def _trusted(text: str) -> Any:
    """Text that autoescape leaves as it is: the page's own files, and JSON without angle brackets."""
    from markupsafe import Markup

    return Markup(text)


def _breakable(name: str) -> Any:
    """A dotted name that may be broken behind its dots."""
    from markupsafe import Markup, escape

    return escape(name).replace(".", Markup(".<wbr>"))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}" if share >= 0.0995 or not share else f"{share:.1%}"


def _change(saved: float | None) -> str:
    """A saving in words: "1.60x less", or "1.25x more" for one of 0.8."""
    if saved is None:
        return "-"
    return f"{times(saved)} less" if saved >= 1 else f"{times(1 / saved)} more"


def _title(reports: Sequence[Report], sections: Sequence[Section]) -> str:
    machine = sections[0].machine if len(reports) == 1 else f"{len(reports)} machines"
    return f"{reports[0].model} on {machine}"


def _versions() -> list[tuple[str, str]]:
    """Of what had a part in the figures."""
    found = [("accelsim", __version__), ("Python", platform.python_version())]
    for name in PACKAGES:
        if name in sys.modules:
            try:
                found.append((name, version(name).partition("+")[0]))
            except PackageNotFoundError:
                continue
    return found
