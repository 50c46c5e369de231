"""What instances share while answers are made: running logs, and hints that something has changed.

SQL stays the truth about what was accepted and answered; all that is here can be made again from it and from
the owners' memory. Two implementations of one port: one process by itself, and Redis between many.
"""
