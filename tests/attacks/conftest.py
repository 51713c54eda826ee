"""Judges the attacks, and closes with their table and `attacks: tried=N stopped=N by_two_layers=N`."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from _pytest.terminal import TerminalReporter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

PROPERTY = "attack"


@dataclass
class Attack:
    """One attack and what became of it: by guard, what stopped it; `controlled`: it succeeded without any guard."""

    door: str
    tries: str
    stopped_by: dict[str, str] = field(default_factory=dict)
    controlled: bool = False
    failed: bool = False

    @property
    def stopped(self) -> bool:
        """Every guard that it names stops it alone, and none but a guard does."""
        return self.controlled and bool(self.stopped_by) and not self.failed


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Call an attack, and hold its answer to the guard that was left."""
    marker = pyfuncitem.get_closest_marker("attack")
    if marker is None:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    guard = pyfuncitem.funcargs["guard"]
    # Text itself and no member of an enumeration: the workers of xdist send nothing else.
    left = None if guard is None else str(guard)
    row = [str(marker.kwargs["door"]), marker.kwargs["tries"].format(**pyfuncitem.funcargs), left, None]
    pyfuncitem.user_properties.append((PROPERTY, row))
    row[3] = stopped = pyfuncitem.obj(**arguments)
    if guard is None:
        assert stopped is None, f"control: without a guard the attack was stopped all the same: {stopped}"
    else:
        assert stopped, f"the {guard} alone did not stop the attack"
    return True


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """The table, by door."""
    attacks: dict[tuple[str, str], Attack] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for door, tries, guard, stopped in (value for name, value in report.user_properties if name == PROPERTY):
                case = attacks.setdefault((door, tries), Attack(door, tries))
                case.failed |= outcome == "failed"
                case.controlled |= guard is None and outcome == "passed"
                if guard and stopped:
                    case.stopped_by[guard] = stopped
    if not attacks:
        return
    table = Table("door", "what it tried", "what stopped it", title="attacks")
    for case in sorted(attacks.values(), key=lambda case: (case.door, case.tries)):
        reasons = [f"{guard}: {reason}" for guard, reason in case.stopped_by.items()]
        outcome = "\n".join(reasons) if case.stopped else "NOT STOPPED"
        table.add_row(case.door, escape(case.tries), escape(outcome))
    Console(width=160).print(table)
    stopped = [case for case in attacks.values() if case.stopped]
    by_two = [case for case in stopped if len(case.stopped_by) >= 2]
    terminalreporter.write_line(f"attacks: tried={len(attacks)} stopped={len(stopped)} by_two_layers={len(by_two)}")
