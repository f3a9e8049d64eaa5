"""The demo: a belt under a camera, made out of real photographs, with its truth."""
