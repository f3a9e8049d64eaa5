"""The checks of `patchedge doctor`: one small function for each finding, and a remedy with each problem."""
