"""Every field that kustomize reads of a kustomization, and of the configuration of its own plugins, by what it names.

Held to the pinned kustomize by tests/test_kustomize_fields.py. What is not here is never rendered: Go takes a field in
any case (`Resources`), and a field that a later kustomize adds may name what stands elsewhere.
"""

from __future__ import annotations

from enum import Enum, auto


class Names(Enum):
    """What a field's value names."""

    NOTHING = auto()
    FOLDERS = auto()  # a list of folders with a kustomization, or of files
    FILES = auto()  # a list of files
    PLUGINS = auto()  # a list of files with plugins' configurations, or these themselves
    TEXTS = auto()  # a list of patches' files, or of patches
    PATCHES = auto()  # a list of entries, which have a file under `path`
    REPLACEMENTS = auto()
    GENERATED = auto()  # a list of entries, which have files under `files`, `envs` and `env`
    SCHEMA = auto()  # one such entry: a file under `path`
    ELSEWHERE = auto()  # what another program fetches


_NOTHING = (
    "apiVersion", "kind", "metadata", "namespace", "namePrefix", "nameSuffix", "labels", "commonLabels",
    "commonAnnotations", "images", "imageTags", "replicas", "generatorOptions", "sortOptions", "buildMetadata", "vars",
)  # fmt: skip
# In the order in which kustomize applies what they name; a kustomization's own fields come after the plugins.
FIELDS = {
    "resources": Names.FOLDERS,
    "bases": Names.FOLDERS,
    "crds": Names.FILES,
    "components": Names.FOLDERS,
    "generators": Names.PLUGINS,
    "transformers": Names.PLUGINS,
    "validators": Names.PLUGINS,
    "configurations": Names.FILES,
    **dict.fromkeys(_NOTHING, Names.NOTHING),
    "patchesStrategicMerge": Names.TEXTS,
    "patches": Names.PATCHES,
    "patchesJson6902": Names.PATCHES,
    "replacements": Names.REPLACEMENTS,
    "openapi": Names.SCHEMA,
    "configMapGenerator": Names.GENERATED,
    "secretGenerator": Names.GENERATED,
    "helmCharts": Names.ELSEWHERE,
    "helmChartInflationGenerator": Names.ELSEWHERE,
    "helmGlobals": Names.ELSEWHERE,
}
_GENERATED = frozenset({"name", "namespace", "behavior", "type", "literals", "options", "files", "envs", "env"})
# The fields of an entry.
ENTRY = {
    Names.PATCHES: frozenset({"path", "patch", "target", "options"}),
    Names.REPLACEMENTS: frozenset({"path", "source", "sourceValue", "targets"}),
    Names.SCHEMA: frozenset({"path", "version"}),
    Names.GENERATED: _GENERATED,
}
# kustomize's own plugins that may be configured, by what an entry of theirs is. The others ask another program, or do
# what a field of the kustomization does.
PLUGINS = {
    **dict.fromkeys(
        (
            "AnnotationsTransformer", "ImageTagTransformer", "LabelTransformer", "NamespaceTransformer",
            "PrefixTransformer", "ReplicaCountTransformer", "SortOrderTransformer", "SuffixTransformer",
        ),
        Names.NOTHING,
    ),
    "ConfigMapGenerator": Names.GENERATED,
    "SecretGenerator": Names.GENERATED,
    "PatchTransformer": Names.PATCHES,
}  # fmt: skip
