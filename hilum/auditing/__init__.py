"""Does anything in one split or set give away another? What `hilum audit` does.

The name differs from the verb's because `hilum.audit` is the verb's function.
"""

from hilum.auditing.audit import Audit, audit_sets

__all__ = ["Audit", "audit_sets"]
