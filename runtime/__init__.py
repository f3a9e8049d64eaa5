"""What a device runs: capture, preprocess, embed, search, score, decide, publish."""
