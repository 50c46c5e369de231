"""What the server speaks over HTTP: its resources, other tongues, and the description of itself."""
