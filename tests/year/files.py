"""Main's files as they are at a commit, read from the bare repository without a process for each."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from git import Repo

from gitops.manifests import yamlfile
from gitops.manifests.overlay import Overlay


class Files:
    """Of one repository."""

    def __init__(self, git_dir: Path) -> None:
        self._repo = Repo(git_dir)
        self._heads = git_dir / "refs/heads"
        self._read = cache(self._content)
        self._tree = cache(self._id)
        self._listed = cache(self._names)

    def close(self) -> None:
        self._repo.close()

    def head(self, branch: str = "main") -> str:
        """The commit of a branch, by its file: nothing packs the references of this repository (YearWorld)."""
        return (self._heads / branch).read_text().strip()

    def heads(self) -> dict[str, str]:
        """The commit of every branch."""
        names = [str(file.relative_to(self._heads)) for file in self._heads.rglob("*") if file.is_file()]
        return {name: self.head(name) for name in sorted(names) if not name.endswith(".lock")}

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's content, or None where there is none."""
        return self._read(commit, path)

    def id(self, commit: str, path: str) -> str:
        """What a file or a folder is known by, or nothing: the same as long as it is the same."""
        return self._tree(commit, path)

    def names(self, commit: str, folder: str) -> list[str]:
        """The files of a folder."""
        return self._listed(self.id(commit, folder))

    def _names(self, tree: str) -> list[str]:
        """Of a folder by what it is known by: that stays where another folder changed."""
        return str(self._repo.git.ls_tree("--name-only", tree)).splitlines() if tree else []

    def secret(self, commit: str, overlay: Overlay) -> str:
        """The Secret of 42 that an overlay names."""
        content = self.read(commit, overlay.file("oauth-42.yaml"))
        return str(yamlfile.parse_all(content or b"data: {secret: ''}", "oauth-42.yaml")[0]["data"]["secret"])

    def _content(self, commit: str, path: str) -> bytes | None:
        try:
            return bytes((self._repo.commit(commit).tree / path).data_stream.read())
        except KeyError:
            return None

    def _id(self, commit: str, path: str) -> str:
        try:
            return str((self._repo.commit(commit).tree / path).hexsha)
        except KeyError:
            return ""
