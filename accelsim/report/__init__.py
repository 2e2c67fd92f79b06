"""What came out of a run, as rows that add, print and save."""

from accelsim.report.report import Report
from accelsim.report.rows import Accuracy, LayerRow, Spread, StageRow, ratio

__all__ = ["Accuracy", "LayerRow", "Report", "Spread", "StageRow", "ratio"]
