"""What goes over the wire: messages that are published, requests and replies."""
