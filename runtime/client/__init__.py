"""The client that users import: messages of a device, and requests to it."""
