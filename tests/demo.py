"""What `make demo` shows beside the lab: an image and a secret, each from the outside to running pods."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from gitops.clients import argocd
from gitops.clients.kubernetes import Cluster
from gitops.ground.checkout import Checkout
from gitops.ground.output import say
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.lab import lab as labs
from gitops.lab.cli import print_applications, print_gains, say_next
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
    runs = running_images(cluster, STAGING.namespace)
    if runs != {str(image)}:
        sys.exit(f"expected that {STAGING.namespace} runs {image}; found {', '.join(sorted(runs)) or 'nothing'}")
    if rotated.opened != rotated.secret:
        sys.exit(f"expected in {PROD.namespace} the secret that 42 showed; the controller opened another one")
    if rotated.without:
        looks = f"{rotated.without} of {counted(rotated.samples, 'look')} found none"
        sys.exit(f"expected a secret that 42 accepts in {PROD.namespace} at all times; {looks}")
    print_gains(progress.steps)
    times = counted(rotated.samples, "time")
    say(f"(looked at {times} while the secret changed: {PROD.namespace} always had a good one)")
    say_next(lab)


if __name__ == "__main__":
    main()
