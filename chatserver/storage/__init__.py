"""SQL: the truth about what was accepted and what was answered.

Everything that is written goes through the one writer of the process as a command; reads have connections
of their own. Nothing here knows how an answer is made or shown.
"""
