"""What came out of a run, as rows that add, print and save."""

from accelsim.report.files import as_json, write_atomically
from accelsim.report.report import Report
from accelsim.report.rows import Accuracy, LayerRow, StageRow, ratio

__all__ = ["Accuracy", "LayerRow", "Report", "StageRow", "as_json", "ratio", "write_atomically"]
