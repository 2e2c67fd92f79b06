"""What pruning costs in accuracy, measured on data that package registries ship. Needs torch.

A measurement is a `Task`: samples, the outputs of a module on them, and a judgement of dense against pruned
outputs. `prepare()` chooses the task by the model and fetches its data.
"""

from accelsim.accuracy.evaluation import Evaluation, prepare
from accelsim.accuracy.task import AccuracyError, Task

__all__ = ["AccuracyError", "Evaluation", "Task", "prepare"]
