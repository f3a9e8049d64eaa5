"""What is decided about a camera: functions of what is remembered and what is seen, without I/O."""
