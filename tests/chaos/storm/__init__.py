"""A storm: people ask and read through several instances while one thing after the other goes wrong."""
