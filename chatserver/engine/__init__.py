"""From accepted to answered: the queue, the claim, the run, and its end; it outlives whoever asked."""
