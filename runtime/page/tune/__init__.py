"""What other settings would have done: the device's own alert logic over scores that the page has stored."""
