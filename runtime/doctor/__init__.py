"""What `patchedge doctor` looks at: one small function for each finding, and a remedy with each problem."""
