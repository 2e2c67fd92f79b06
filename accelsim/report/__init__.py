"""What came out of a run, as rows that add, print and save."""

from accelsim.report.files import (
    as_json,
    remove_drafts,
    remove_left_drafts,
    replaced,
    whole_file,
    write_atomically,
)
from accelsim.report.report import Report
from accelsim.report.rows import Accuracy, LayerRow, Spread, StageRow, ratio

__all__ = [
    "Accuracy",
    "LayerRow",
    "Report",
    "Spread",
    "StageRow",
    "as_json",
    "ratio",
    "remove_drafts",
    "remove_left_drafts",
    "replaced",
    "whole_file",
    "write_atomically",
]
