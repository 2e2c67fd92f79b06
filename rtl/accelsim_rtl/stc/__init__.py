"""The sparse tensor core in hardware; parameters and step models are in `accelsim.units.stc`."""
