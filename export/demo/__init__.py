"""The demo: a synthetic camera clip made of real photographs, with ground truth."""
