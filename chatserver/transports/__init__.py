"""How frames leave: WebSocket, SSE and long-poll, and what the three share."""
