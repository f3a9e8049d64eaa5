"""Learning on a Dask cluster."""
