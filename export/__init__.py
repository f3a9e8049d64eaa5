"""The workshop: from normal pictures to a bundle. Everything after the graph goes through the runtime's own code."""
