"""What an Ingress does with a request beside sending it to a Service: its annotations `actions.<service>`.

Source: the controller's pkg/ingress/config_types.go (Action and its validation), and AWS's API reference (Action).
"""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, ValidationError

from gitops.lb import values

_TARGET_GROUPS = 5
_TYPES = ("forward", "redirect", "fixed-response")
_CONTENT = ("text/plain", "text/css", "text/html", "application/javascript", "application/json")


class _Part(BaseModel):
    """Read as Go does: what it does not know it leaves, and a number is no text."""

    model_config = ConfigDict(strict=True, frozen=True)


class FixedAnswer(_Part):
    """An answer of the load balancer itself."""

    statuscode: str = ""
    contenttype: str = "text/plain"
    messagebody: str = ""


class RedirectTo(_Part):
    """Where a redirect leads; None is what the request has."""

    statuscode: str = ""
    host: str | None = None
    path: str | None = None
    port: str | None = None
    protocol: str | None = None
    query: str | None = None


class ForwardTarget(_Part):
    """A Service and its port, or a target group that somebody made."""

    targetgrouparn: str | None = None
    targetgroupname: str | None = None
    servicename: str | None = None
    serviceport: int | str | None = None
    weight: int | None = None

    @property
    def own(self) -> str | None:
        """The target group that somebody made."""
        return self.targetgrouparn or self.targetgroupname


class Forward(_Part):
    """The targets among which requests are shared."""

    targetgroups: list[ForwardTarget] = []


class IngressAction(_Part):
    """One action."""

    type: str = ""
    targetgrouparn: str | None = None
    targetgroupname: str | None = None
    fixedresponseconfig: FixedAnswer | None = None
    redirectconfig: RedirectTo | None = None
    forwardconfig: Forward | None = None

    @property
    def targets(self) -> list[ForwardTarget]:
        """Where a forward leads."""
        if self.forwardconfig:
            return self.forwardconfig.targetgroups
        return [ForwardTarget(targetgrouparn=self.targetgrouparn, targetgroupname=self.targetgroupname)]


def read(text: str) -> IngressAction:
    """An action. Raises ValueError with what is expected in place of what the controller or AWS refuses."""
    try:
        action = IngressAction.model_validate(values.json(text))
    except ValidationError as error:
        raise ValueError(_expected(error)) from None
    if expected := _missing(action) or _refused(action):
        raise ValueError(expected)
    return action


def _expected(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    return f"another value of {where}: {first['msg']}" if where else first["msg"]


def _missing(action: IngressAction) -> str | None:
    """What the controller wants beside what is there."""
    if action.type not in _TYPES:
        return f"a type among {', '.join(_TYPES)}"
    if action.type == "fixed-response":
        answer = action.fixedresponseconfig
        return None if answer and answer.statuscode else "a fixedResponseConfig with a statusCode"
    if action.type == "redirect":
        to = action.redirectconfig
        return None if to and to.statuscode else "a redirectConfig with a statusCode"
    own = action.targetgrouparn or action.targetgroupname
    if bool(own) == bool(action.forwardconfig):
        return "a forwardConfig, or a targetGroupARN, and not both"
    if any(bool(target.own) == bool(target.servicename) for target in action.targets):
        return "a serviceName or a targetGroupARN for each target group, and not both"
    if any(target.servicename and target.serviceport is None for target in action.targets):
        return "a servicePort beside each serviceName"
    if len(action.targets) > 1 and any(target.weight is None for target in action.targets):
        return "a weight for each of several target groups"
    return None


def _refused(action: IngressAction) -> str | None:
    """What AWS refuses of an action that is whole."""
    if action.type == "fixed-response" and (answer := action.fixedresponseconfig):
        if not re.fullmatch(r"[245][0-9]{2}", answer.statuscode):
            return "a statusCode of 2xx, 4xx or 5xx"
        if answer.contenttype not in _CONTENT:
            return f"a contentType among {', '.join(_CONTENT)}"
        return None if len(answer.messagebody) <= 1024 else "a messageBody of at most 1,024 characters"
    if action.type == "redirect" and (to := action.redirectconfig):
        if to.statuscode not in ("HTTP_301", "HTTP_302"):
            return "the statusCode HTTP_301 or HTTP_302"
        if to.protocol not in (None, "HTTP", "HTTPS", "#{protocol}"):
            return "the protocol HTTP or HTTPS"
        return None if (to.path or "/").startswith("/") else "a path that begins with /"
    if not 1 <= len(action.targets) <= _TARGET_GROUPS:
        return f"1 to {_TARGET_GROUPS} target groups"
    if not all(0 <= (target.weight or 0) <= 999 for target in action.targets):
        return "weights from 0 to 999"
    return None
