"""What all tests share: nothing but the place of the tree."""

from __future__ import annotations
