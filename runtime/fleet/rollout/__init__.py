"""Roll-outs of a fleet: stages, waiting, stopping and going back; status; bundles pulled and adopted."""
