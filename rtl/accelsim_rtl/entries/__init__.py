"""What the kit must know of each unit: one file a unit, listed in `accelsim_rtl.units`."""
