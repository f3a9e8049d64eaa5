"""The devices that the page shows: their messages, their answers, and what is known of their cameras."""
