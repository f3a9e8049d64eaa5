"""Learning without torch: from a graph and normal pictures to a bundle."""
