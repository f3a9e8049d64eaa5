"""Why a source does not open: OpenCV does not say, so the reason is looked for after it has failed."""
