"""The cycle engine, compiled: `loop` is the whole of it, `state` what it works on."""
