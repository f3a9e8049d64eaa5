"""The process beside a device that converges it to what its fleet assigns."""
