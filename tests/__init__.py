"""The tests: unit, property, fault, boundary, golden, and the benches."""
