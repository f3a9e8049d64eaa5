"""Which of the normal pictures may not be normal: how strange each is among the others, and what follows."""
