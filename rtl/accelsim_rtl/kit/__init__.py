"""From a component to Verilog, and to a bench that holds it against its model on three simulators."""
