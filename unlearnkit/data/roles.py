"""The sides of a data set: what streams and sets are for, whatever they are called."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["forget", "retain", "general", "holdout"]
ROLES: tuple[Role, ...] = get_args(Role)
