"""Load reports: each scenario answers one question with figures taken side by side in the same run."""
