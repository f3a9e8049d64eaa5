"""Why a source does not open."""
