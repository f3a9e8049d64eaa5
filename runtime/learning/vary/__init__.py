"""What may vary: altered copies of normal pictures, for the bank and for the calibration."""
