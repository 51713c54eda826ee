"""This repository: its overlays and services, its history and revisions, its pull requests."""
