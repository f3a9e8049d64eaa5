"""`make wheels` and `make test-wheels`: wheels for an installation with neither a compiler nor a network."""
