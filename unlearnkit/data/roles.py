"""The sides of a data set: what streams and sets are for, whatever they are called."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["forget", "retain", "general", "holdout"]
ROLES: tuple[Role, ...] = get_args(Role)
# The sides of sets and streams by the names that papers have for them; a data set's own `roles` come first.
BY_NAME: dict[str, Role] = {
    **{role: role for role in ROLES},
    **{"unlearned": "forget", "unseen": "holdout", "normal": "retain", "safe": "general"},  # Liu et al. 2024
    **{"unlearn": "forget", "retention": "retain"},  # Tian et al. 2024
    **{"target": "forget", "unrelated": "retain", "edited": "forget", "others": "retain"},  # Hong et al. 2024
}
OF_BENCHMARKS: dict[str, Role] = {  # of sets that are a benchmark's own
    **{f"{kind}_forget": "forget" for kind in ("knowmem", "verbmem", "privleak")},  # Shi et al. 2025
    **{"knowmem_retain": "retain", "privleak_retain": "retain", "privleak_holdout": "holdout"},
    **{f"forget_level{level}": "forget" for level in (1, 2, 3)},  # Jin et al. 2024
    **{f"neighbor_level{level}": "retain" for level in (1, 2)},
    **{"wmdp_bio": "forget", "wmdp_cyber": "forget"},  # Li et al. 2024
    **{"forget_membership": "forget", "retain_membership": "retain"},
}
