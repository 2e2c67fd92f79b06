"""The arithmetic of `accelsim.golden` as fast code for the processors that users own."""
