"""Linear and mixed-integer subproblems: encode, solve, and conclude only from what was recomputed."""

from verify.lp.encode import encode
from verify.lp.leaf import LeafResult, decide_leaf, decide_milp
from verify.lp.safe import milp_margin, safe_lower_bound

__all__ = ["LeafResult", "decide_leaf", "decide_milp", "encode", "milp_margin", "safe_lower_bound"]
