"""What a person or a program can do: begin a conversation, send a turn, hand in work, stop it, read it."""
