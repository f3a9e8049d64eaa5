"""A fleet on one machine: real servers, real agents over simulated runtimes, real devices, and all that can happen."""
