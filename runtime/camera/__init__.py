"""From a source to frames in shared memory, in a process of its own."""
