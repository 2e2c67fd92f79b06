"""SAT as a machine: its parameters and jobs, their memory images, and the machine clock by clock."""
