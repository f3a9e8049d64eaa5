"""Before a bundle is sealed: synthetic faults, golden frames, thresholds that must be refused."""
