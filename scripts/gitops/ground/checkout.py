"""Where things are in a checkout of this repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gitops.ground.errors import InputError
from gitops.ground.suggest import unknown


@dataclass(frozen=True)
class Checkout:
    """A working copy of the repository, found from the current folder upwards."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Checkout:
        """The checkout that `start` (default: the current folder) lies in. Raises InputError outside of one."""
        try:
            start = (start or Path.cwd()).resolve()
        except FileNotFoundError:
            raise InputError("the folder that you are in was deleted", fix="cd into the checkout") from None
        for folder in (start, *start.parents):
            if (folder / "overlays").is_dir() and (folder / "scripts/tools/tools.yaml").is_file():
                return cls(folder)
        raise InputError(
            "not inside a checkout of the platform",
            path=str(start),
            expected="a folder above it with overlays/ and scripts/tools/",
            fix="cd into the checkout",
        )

    @property
    def overlays(self) -> Path:
        """The folder with one folder for each service."""
        return self.root / "overlays"

    @property
    def service_folders(self) -> list[Path]:
        """The folders of services, by name. A hidden one is a draft of a `service new` that was killed."""
        return sorted(path for path in self.overlays.glob("[!.]*") if path.is_dir())

    def cluster(self, name: str) -> Path:
        """The folder of a cluster. Raises InputError where there is none of this name."""
        known = sorted(file.parent.name for file in self.root.glob("clusters/[!.]*/cluster.yaml"))
        if name not in known:
            raise unknown("cluster", name, known)
        return self.root / "clusters" / name

    @property
    def teams_file(self) -> Path:
        """Who can own a service."""
        return self.root / ".github/teams.yaml"

    @property
    def codeowners_file(self) -> Path:
        """Generated from teams.yaml and each service's owner.yaml."""
        return self.root / ".github/CODEOWNERS"

    @property
    def tool_pins(self) -> Path:
        """One folder with a go.mod for each tool."""
        return self.root / "scripts/tools"

    @property
    def tools(self) -> Path:
        """Where the built tools are linked: bin/ and share/. Ignored by git."""
        return self.root / ".tools"

    @property
    def tool_cache(self) -> Path:
        """Where tools are built. GITOPS_TOOL_CACHE lets several checkouts share one."""
        from gitops.ground import settings

        return settings.read().tool_cache or self.tools / "cache"

    @property
    def labs(self) -> Path:
        """Where each lab keeps its state. Ignored by git."""
        return self.root / ".lab"

    def lab_kubeconfig(self, name: str) -> Path:
        """The kubeconfig of a lab, which is there once the lab was started."""
        return self.labs / name / "kubeconfig"

    def relative(self, path: Path) -> str:
        """`path` as a person in the checkout's root would write it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def tool(self, name: str) -> Path:
        """The built tool `name`. Raises InputError when the tools were not built yet."""
        path = self.tools / "bin" / name
        if not path.exists():
            raise InputError("not built yet", path=self.relative(path), fix="run: make tools")
        return path
