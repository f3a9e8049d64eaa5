"""The process `patchedge run`: everything put together, and its main loop."""
