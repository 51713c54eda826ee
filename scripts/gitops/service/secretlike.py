"""What looks like a secret, by its name or by itself: it is sealed, and never written into git as it is.

gitleaks looks through every draft as well (check/leaks.py); this says so before a value is in any file.
"""

from __future__ import annotations

import math
import re
from collections import Counter

# Behind a value that looks like one: everybody may know it.
PUBLIC = "# public"
# The last word of a name that says what a value is.
_SECRET_NAME = re.compile(
    r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASS|PWD|PASSPHRASE|CREDENTIALS?|APIKEY|COOKIE|SALT|PEPPER|PIN|JWT"
    r"|(API|PRIVATE|ACCESS|SECRET|SIGNING|ENCRYPTION|SERVICE|MASTER|AUTH|SESSION|WEBHOOK|DEPLOY|ACCOUNT)_?KEY)(_?\d+)?$",
    re.IGNORECASE,
)
# Of a name that ends so the value may be a switch, a number, or nothing.
_NO_SECRET = re.compile(r"|true|false|yes|no|on|off|none|\d{1,4}", re.IGNORECASE)
_FORMS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*(PRIVATE KEY|CERTIFICATE REQUEST)"),
    "a password in an address": re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^/\s:@]{0,300}:[^/\s@]+@", re.IGNORECASE),
    "a token of GitHub": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})"),
    "a token of Slack": re.compile(r"\bxox[a-z]-[\w-]{10,}|hooks\.slack\.com/(services|workflows)/\w"),
    "a webhook of Discord": re.compile(r"discord(app)?\.com/api/webhooks/\d"),
    "a secret of 42": re.compile(r"\bs-s4t2(ud|af)-[0-9a-f]{32,}"),
    "a key of AWS": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a key of Google": re.compile(r"\bAIza[\w-]{35}"),
    "a key of Stripe or OpenAI": re.compile(r"\b[srp]k[-_][\w-]{16,}"),
    "a JSON web token": re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}"),
    "a parameter that carries one": re.compile(
        r"[?&;](access_token|token|api_?key|key|secret|sig|signature|password|auth)=[^&\s]{8,}", re.IGNORECASE
    ),
    "a password among other words": re.compile(
        r"""(?:^|[\s;,{"'])(password|passwd|pwd|passphrase|secret|token|api_?key)["']?\s*[=:]\s*["']?[^\s"',;&$<{]{6,}""",
        re.IGNORECASE,
    ),
    "the header of a login": re.compile(r"^\s*(Basic|Bearer)\s+[\w+/=.-]{8,}", re.IGNORECASE),
}
# Of letters and digits without any sense: long, and of as many different ones as chance gives.
_RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{24,}")
_BITS = 3.9
# What is public though it looks like chance.
_PUBLIC = re.compile(r"sha(1|256|512)[:-][0-9a-zA-Z+/=]+|u-s4t2(ud|af)-[0-9a-f]{64}|ssh-(rsa|ed25519) \S+( \S+)?")


def reason(name: str, value: str) -> str:
    """Why a variable looks like a secret; empty where it does not. Never has a part of the value."""
    if _SECRET_NAME.search(name) and not _NO_SECRET.fullmatch(value):
        return "by its name"
    for what, form in _FORMS.items():
        if form.search(value):
            return f"its value has {what}"
    if not _PUBLIC.fullmatch(value) and any(map(_by_chance, _RANDOM.findall(value))):
        return "its value is letters and digits without a sense"
    return ""


def _by_chance(text: str) -> bool:
    """Whether a text has digits among letters, and as much entropy (bits a letter) as no words have."""
    if not (re.search(r"\d", text) and re.search(r"[A-Za-z]", text)):
        return False
    total = len(text)
    bits = -sum(count / total * math.log2(count / total) for count in Counter(text).values())
    return bits >= _BITS or (re.fullmatch(r"[0-9a-f]{32,}", text) is not None and bits > 3)
