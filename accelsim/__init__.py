"""From a pruned PyTorch model to cycles, bytes, joules and Verilog."""

__version__ = "0.1.0"
