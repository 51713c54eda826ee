"""What a kustomization's generators make, key by key."""

from __future__ import annotations

import yaml

from gitops.manifests.yamltext import child


def giving(entry: yaml.Node, key: str) -> yaml.Node:
    """The item of a generator that gives one key: a literal, or a file of that name; the generator where none is."""
    for field in ("literals", "files"):
        listed = child(entry, field)
        nodes: list[yaml.Node] = listed.value if isinstance(listed, yaml.SequenceNode) else []
        for node in nodes:
            text = str(node.value)
            if text.partition("=")[0] == key or (field == "files" and text.rpartition("/")[2] == key):
                return node
    return entry
