"""The chat page and the client library in a real browser."""
