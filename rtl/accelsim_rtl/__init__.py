"""Hardware in Amaranth, one component a file, built from the parameters of `accelsim.accelerators`."""
