"""From flags to a bootstrap: reading the file, merging `--config-yaml` over it."""

from __future__ import annotations

import errno
import os

from mesh import engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesh.config.flags import Options

#: A bootstrap of 10,000 clusters is some 5 MB; what is larger than this is no configuration.
MAX_FILE = 256 << 20


class Unreadable(Exception):
    """A file that cannot be read; `str()` says which and why."""


def read(path: str) -> bytes:
    """The file's bytes. Raises OSError."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > MAX_FILE:
            raise OSError(errno.EFBIG, f"larger than {MAX_FILE >> 20} MB: no configuration", path)
        return file.read()


def bootstrap(options: Options) -> engine.Bootstrap:
    """The bootstrap that the flags name. Raises Unreadable or engine.ConfigError."""
    lenient = options.allow_unknown_static
    if not options.config_path:
        return engine.load_bootstrap(options.config_yaml.encode(), "--config-yaml", lenient)
    try:
        text = read(options.config_path)
    except OSError as error:
        raise Unreadable(f"{options.config_path}: {error.strerror}") from error
    loaded = engine.load_bootstrap(text, options.config_path, lenient)
    if options.config_yaml:
        over = options.config_yaml.encode()
        loaded = engine.merge_bootstrap(loaded, over, "--config-yaml", lenient)
    return loaded
