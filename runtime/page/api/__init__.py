"""The API of the page under /api/v1: each module declares its operations in `ROUTES`."""
