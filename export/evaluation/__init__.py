"""How good a bundle is on pictures whose truth is known."""
