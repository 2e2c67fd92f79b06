"""AXI4 masters and an AXI4-Lite slave, between the streams of the kit and a bus."""
