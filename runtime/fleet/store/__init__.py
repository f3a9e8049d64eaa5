"""The store of a fleet at the NATS servers: packs, assignments, reports, roll-outs; and what a device refuses."""
