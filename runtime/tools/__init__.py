"""What the tools `bench`, `probe` and `record` do."""
