"""Pictures kept to learn from: peaks of alerts, and frames that are collected while teaching."""
