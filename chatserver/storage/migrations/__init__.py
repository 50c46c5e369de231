"""The way from any older database to this version's, one step a file in versions/."""
