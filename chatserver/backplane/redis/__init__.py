"""Many instances, on one Redis: its scripts stand in files of their own, in `scripts`."""
