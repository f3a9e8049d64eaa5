"""Uploaded pictures: decoded in a child process that may die."""
