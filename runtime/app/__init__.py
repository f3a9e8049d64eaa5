"""The process `patchedge run`: its assembly and its main loop."""
