"""What of a file is in the page cache."""

import errno
import os

_NOT_SUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


def is_cached(descriptor: int, start: int, count: int) -> bool:
    """Say whether a part of a file is in the page cache, judged by its first and last byte.

    Where the file system can't tell, it is taken for cached; what can't be read is not.
    """
    try:
        for offset in {start, start + count - 1}:
            os.preadv(descriptor, [bytearray(1)], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError as exc:
        return exc.errno in _NOT_SUPPORTED
    return True
