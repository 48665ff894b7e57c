"""The status errors of `mlmd.errors`."""

from __future__ import annotations

from mlmd.errors import *
