"""The work of the verbs `bench`, `probe` and `record`."""
