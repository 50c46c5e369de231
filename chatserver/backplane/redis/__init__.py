"""Many instances, on one Redis: its scripts stand in files of their own, in `scripts`."""

from chatserver.backplane.redis.backplane import RedisBackplane

__all__ = ["RedisBackplane"]
