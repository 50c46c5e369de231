"""From a conversation to what the model sees of it."""
