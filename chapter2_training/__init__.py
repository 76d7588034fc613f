"""Training: from data to one model file that says what it is."""
