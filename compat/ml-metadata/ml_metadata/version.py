"""The version of ML Metadata whose place this package takes; that of the code behind it is `mlmd.__version__`."""

from __future__ import annotations

from typing import Final

__version__: Final = "1.21.0"
