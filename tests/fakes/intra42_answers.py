"""What 42 and its Keycloak show instead of what was asked for, as a person sees it after or before a password."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Obstacle:
    """A page that 42 shows instead of what was asked for at `path`."""

    path: str
    title: str
    body: str
    status: int = 200


_AFTER_PASSWORD = "/auth/authenticate"
_BEFORE = "/users/auth/keycloak_student"
_PAGE = r"/oauth/applications/\d+"
ANSWERS = {
    "update-password": Obstacle(
        _AFTER_PASSWORD,
        "Sign in to 42",
        '<form id="kc-passwd-update-form" action="/login-actions/required-action" method="post">'
        '<input name="password-new" type="password"><input name="password-confirm" type="password"></form>',
    ),
    "terms": Obstacle(
        _AFTER_PASSWORD,
        "Sign in to 42",
        '<div id="kc-terms-text">...</div><form action="/login-actions/required-action" method="post">'
        '<input id="kc-accept" name="accept" type="submit" value="Accept"></form>',
    ),
    "profile": Obstacle(
        _AFTER_PASSWORD,
        "Sign in to 42",
        '<form id="kc-update-profile-form" action="/login-actions/required-action" method="post">'
        '<input name="email"></form>',
    ),
    "codes to set up": Obstacle(
        _AFTER_PASSWORD, "Sign in to 42", '<form id="kc-totp-settings-form" method="post"><input name="totp"></form>'
    ),
    "disabled": Obstacle(
        _AFTER_PASSWORD,
        "Sign in to 42",
        '<form id="kc-form-login" method="post"><span id="input-error" class="kc-feedback-text">Account is disabled, '
        'contact your administrator.</span><input name="username"><input name="password" type="password"></form>',
    ),
    "422": Obstacle(_AFTER_PASSWORD, "The change you wanted was rejected (422)", "<h1>Rejected</h1>", 422),
    "maintenance": Obstacle(_BEFORE, "Intra is under maintenance", "<h1>Maintenance</h1>"),
    "maintenance of the pages": Obstacle(_PAGE, "Intra is under maintenance", "<h1>Maintenance</h1>"),
    "consent": Obstacle(
        _BEFORE, "42", '<form id="cookie-consent" action="/cookies" method="post"><button>Accept all</button></form>'
    ),
    "wall": Obstacle(_BEFORE, "Just a moment...", '<form id="challenge-form"></form>', 403),
    "wall before the pages": Obstacle(_PAGE, "Attention Required!", '<div class="cf-error-details"></div>', 403),
    "not an owner": Obstacle(_PAGE, "Application", "<h1>Application</h1><p>Some words on it</p>"),
}
KEYCLOAK_CODE = (
    '<form id="kc-otp-login-form" action="/auth/code" method="post"><input name="otp" type="text">'
    '<input name="login" type="submit" value="Sign In"></form>'
)


def document(title: str, body: str) -> str:
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{body}</body></html>"
