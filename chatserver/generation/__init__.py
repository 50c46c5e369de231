"""The heart: a generation is an append-only log, and every reader holds a position in it.

What the log promises:

- Numbers are dense and only grow; (epoch, n) names a piece for ever. Appending a known position
  changes nothing; one beyond the next is a gap, and the history must be read.
- One writer at a time: the owner under the newest epoch. A new epoch begins at some n; whatever an
  older owner wrote beyond it is void, and the position of whoever has read that tells it.
- The last piece says how it ended. After it nothing is appended; readers end by reading it.
- The log is plain data without clock, network or event loop. Waiting is left to whoever holds a cursor.
- A reader can't tell whether the log it reads is filled by this process or by another one.
- A reader never slows the run; a run never dies with its reader; stopping is an explicit request.
"""
