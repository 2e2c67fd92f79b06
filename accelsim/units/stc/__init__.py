"""The sparse tensor core: metadata decoder, operand selector, dot-product lane, tile engine, machine."""
