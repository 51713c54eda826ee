"""What `make demo` shows beside the lab: an image and a secret, each from the outside to running pods."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from gitops.clients import argocd
from gitops.clients.kubernetes import Cluster
from gitops.ground.checkout import Checkout
from gitops.ground.output import print_table
from gitops.ground.progress import Progress
from gitops.lab import lab as labs
from gitops.lab.cli import print_applications
from gitops.lab.layout import Lab
from tests.loops import PROD, STAGING, image_loop, oauth_loop, running_images


def main() -> None:
    lab, progress = Lab(Checkout.find(), "default"), Progress()
    with tempfile.TemporaryDirectory() as folder:
        image = image_loop(lab, Path(folder), progress)
    with tempfile.TemporaryDirectory() as folder:
        rotated = oauth_loop(lab, Path(folder), progress)
    labs.wait_synced(lab, progress)
    cluster = Cluster(lab.kubeconfig)
    print_applications(argocd.applications(cluster))
    print_table(["phase", "seconds"], [[step.name, f"{step.seconds:.1f}"] for step in progress.steps])
    for running in sorted(running_images(cluster, STAGING.namespace)):
        print(f"{STAGING.namespace} runs {running}")
    if running_images(cluster, STAGING.namespace) != {str(image)}:
        sys.exit(f"expected {image}")
    same = rotated.opened == rotated.secret
    print(
        f"{PROD.namespace}: the Secret that the controller opened is 42's next secret: {same}; "
        f"in {rotated.without} of {rotated.samples} looks no ready pod held an accepted secret "
        f"(fewest that did: {rotated.fewest_ready})"
    )
    if not same or rotated.without:
        sys.exit("expected True, and no look without one")


if __name__ == "__main__":
    main()
