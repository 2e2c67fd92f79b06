"""What the hardware computes, bit for bit. Imports numpy and nothing else."""
