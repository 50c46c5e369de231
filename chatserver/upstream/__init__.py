"""Ollama: the client that asks it, what its servers offer, and a simulated one."""
