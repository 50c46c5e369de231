"""What the simulated models say: made from the messages alone, and the same each time."""
