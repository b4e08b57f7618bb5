"""Where the folders are: flag, then variable, then a place in the home directory."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_CONFIG = "~/.mesh/config"
DEFAULT_STATE = "~/.mesh/state"


def config_folder(given: str | None) -> Path:
    """Configuration that people write: `--config`, $MESH_CONFIG."""
    return _folder(given, "MESH_CONFIG", DEFAULT_CONFIG)


def state_folder(given: str | None) -> Path:
    """What the control plane keeps for itself, keys among it: `--state`, $MESH_STATE."""
    return _folder(given, "MESH_STATE", DEFAULT_STATE)


def _folder(given: str | None, variable: str, default: str) -> Path:
    return Path(given or os.environ.get(variable) or default).expanduser().absolute()
