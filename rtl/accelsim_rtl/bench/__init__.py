"""One bench for every unit: standard library only, copied as it stands into every folder of Verilog."""
