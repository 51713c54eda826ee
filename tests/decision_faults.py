"""Every fault that was found in the image updates of others and in the first ones of ours, and the rows that answer it.

A row is named by its situation, as docs/images-decisions.md has it.
"""

from __future__ import annotations

# The right image, always.
RIGHT_IMAGE: dict[str, tuple[str, ...]] = {
    "a staging that crash-loops for a day is promoted": ("it crash-loops", "it crashes again and again"),
    "a staging that never becomes Healthy is starting for ever": ("its pods are starting for a day",),
    "health is no part of the soak": (
        "it was Healthy in parts, not for long enough",
        "it was Healthy in parts, for long enough",
        "it soaked, and is Degraded now",
    ),
    "where nothing is known it does not say so and wait": (
        "nothing is known of its health",
        "nothing is known, and the policy goes by the time",
    ),
    "only the newest is asked about": (
        "the newest soaks, the one before it did",
        "the newest is Degraded, the one before it soaked",
        "the newest soaks, the one before it was Degraded to its end",
    ),
    "prod newer than staging gets a downgrade proposed": ("prod got a hotfix that staging never ran",),
    "a second rollback returns to the first bad version": ("`rollback` again: prod ran 3.0.0, 3.1.0, 3.2.0",),
    "rollback does not ask whether the digest still exists": (
        "`rollback`, and the registry lost the last but one",
        "`rollback`, and the registry lost all that ran",
        "`rollback`, and the registry does not answer",
    ),
    "prod's own image missing from the registry is never noticed": ("the registry lost what prod runs",),
    "rc versions reach prod by the shipped defaults": (
        "staging tries a pre-release",
        "staging tries a pre-release, which the policy takes",
    ),
    "a reinstated version never reaches prod": ("a person took it back in staging and brought it again",),
    "a retag rc to release restarts the soak and prod keeps the rc tag": (
        "the pre-release that soaked is the release now",
        "the pre-release that prod runs is the release now",
    ),
    "newest stops where CI also pushes latest": (
        "CI pushes latest as well",
        "latest runs, and CI pushed once more",
    ),
    "newest goes backwards when the running image was deleted": ("what runs is gone, an older one is there",),
    "newest goes backwards when the running image lies outside allow": (
        "what runs is not allowed, an older one is",
        "what runs is not allowed, a newer one is",
    ),
    "newest undoes a hand downgrade to an image that never ran": ("a person went back to what never ran here",),
    "equal push times decided by text": ("pushed in one moment",),
    "one mistagged 30.1.0, declined, blocks 3.x for ever": (
        "a version by mistake was declined, a lower one was pushed after it",
        "a version by mistake was declined, a lower one was there already",
    ),
    "a stable tag moved to and fro by the bot counts as a person's decision": (
        "CI moves it to and fro, and the bot follows",
        "a person took its digest back",
    ),
    "one decline blocks every date-like tag under alphabetical order": (
        "one date was declined, the next came",
        "a word behind all dates was declined, the next date came",
    ),
    "linux/arm64 with variant v8 is not built for linux/arm64": ("built for linux/arm64 with the variant v8",),
    "it proposes something older by the policy's order": (
        "nothing newer",
        "what runs is gone, only older ones are there",
    ),
    "it proposes what a person took back": ("a person went back on main", "a person took it back in prod"),
}

# Pull requests that merge by themselves when they should, and never otherwise.
PULL_REQUESTS: dict[str, tuple[str, ...]] = {
    "the status freeze comes with the next cron": (
        "no window is near",
        "a window begins in 40 minutes",
        "something newer came",
        "`rollback` in a freeze",
    ),
    "armed after the checks turned green it fails for ever": ("its checks passed before anybody armed auto-merge",),
    "a draft likewise": ("it is a draft, its checks passed",),
    "a person's disable is undone at the next run": ("a person disabled auto-merge, its checks passed",),
    "a review is not heard": ("a review asks for changes, its checks passed",),
    "an open rollback does not stop a bump forward": (
        "a rollback by hand is open, #1 is armed",
        "GitHub's button Revert opened a way back",
        "a rollback of one member is open",
    ),
    "a policy taken away leaves the pull request open and armed": (
        "the environment lost its policy",
        "images.yaml is gone",
        "the policy lost auto-merge, its checks passed",
        "the policy became narrower",
    ),
    "withdraw after Update branch calls the merge a person's commit": (
        "Update branch, then main has it",
        "Update branch with a change of a person, then main has it",
    ),
    "digest policies never withdraw": (
        "the followed tag went back to what runs",
        "the policy followed a tag, and goes by version now",
    ),
    "AccessDenied on one repository stops all": (
        "another repository is denied: this one",
        "another repository is denied: that one",
    ),
    "a syntax error in one file stops all": (
        "prod's kustomization has a slip of syntax: its staging",
        "prod's kustomization has a slip of syntax: another service",
        "images.yaml has a slip of syntax: another service",
    ),
    "an entry without a name stops all": ("an entry of images without a name",),
    "an edited marker stops all": (
        "closed, and its marker edited",
        "closed, its branch deleted, its marker edited",
        "closed, its branch deleted, marker and title edited",
        "open, and its marker edited",
        "a person closed it, and its marker was edited",
    ),
    "strange YAML tags stop all": (
        "a strange YAML tag in prod's entry: its staging",
        "a strange YAML tag in prod's entry: another service",
    ),
    "a student's branch named work blocks every pull request": (
        "a person's branch named `work`",
        "a person's branch named as a folder of ours",
    ),
    "a rate limit's reset can outlast the job in silence": (
        "GitHub takes no more requests for 50 minutes",
        "the same, of one that comes after",
        "GitHub asks for a pause of 50 minutes",
        "the run's time is over",
    ),
    "a lost answer writes twice": ("the answer to its opening is lost", "the answer to its comment is lost"),
    "closing by deleting the branch in a clean-up declines": (
        "its branch was deleted in a clean-up",
        "a person closed it, and deleted its branch after",
        "a bot for stale pull requests closed it",
    ),
    "the runbook's reopen does not work": ("closed, and reopened",),
    "hold, unhold, undecline and promote are no pull requests": (
        "`hold`",
        "`unhold`",
        "closed, and `gitops images undecline`",
        "`promote`, an hour after staging got it",
    ),
    "the end in the repeated hour of autumn": ("its end in the hour that autumn repeats",),
    "a window in the spring's gap": ("its start in the hour that spring leaves out", "all of it in that hour"),
}

# What its users expect, and peers have.
EXPECTED: dict[str, tuple[str, ...]] = {
    "one image an overlay": (
        "a sidecar or an init container with a policy",
        "one without a policy",
        "one was closed: the other",
        "`hold` in an overlay with two images that may be meant",
    ),
    "registries beside ECR": ("a newer version, in a registry that lists names alone", "the registry tells no times"),
    "adopt: a tag alone, a digest alone, newName missing": ("a tag alone", "a digest alone", "no newName"),
    "status: why it waits": (
        "soaks",
        "is held",
        "was declined",
        "waits for the end of a freeze",
        "is too young",
        "is proposed",
    ),
    "minimum age before a direct policy takes an image": ("pushed a moment ago", "pushed long enough ago"),
    "limits on majors": ("a new major version, by hand", "a new major version, never"),
    "limits on open pull requests": (
        "as many are open as may be (open-pull-requests-limit)",
        "the same, of the one that came first",
    ),
    "grouping of one service's environments or of a team's services": (
        "by service: nothing is open",
        "by service: staging merges by itself, prod does not",
        "by team: two services of a team",
        "the grouping ended",
    ),
    "more than one stage": ("it soaked in staging, canary has not run it", "it soaked in canary", "canary is Degraded"),
    "signatures": ("a key is named, and it is not signed", "an identity is named, and it is not signed"),
}
FAULTS = {**RIGHT_IMAGE, **PULL_REQUESTS, **EXPECTED}

# What is no decision about an image has no row: the test that proves it instead, by file and name.
ELSEWHERE: dict[str, tuple[str, str]] = {
    "release notes between the two versions": (
        "test_images_notes.py",
        "test_a_pull_request_quotes_them_and_asks_each_repository_once_in_a_run",
    ),
    "the new bundle format and keyless signatures": (
        "test_images_signatures.py",
        "test_a_signature_of_the_named_identity_is_one",
    ),
    "from a laptop: origin's URL and gh auth token": (
        "test_images_by_hand.py",
        "test_a_laptop_needs_no_more_than_origin_and_a_signed_in_gh",
    ),
    "Slack when the bot is red": (
        "test_images_alerts.py",
        "test_each_cause_is_told_once_and_again_once_it_was_gone_for_a_day",
    ),
    "a dead man's switch as for the rotation": ("test_oauth_watch.py", "test_each_workflow_that_is_named_is_looked_at"),
    "96 runs of two jobs a day": ("test_workflows.py", "test_images_are_looked_for_when_something_happened"),
    "50,000 tags and 20,000 commits": ("test_bench.py", "test_the_smallest_bench_measures_what_readme_says"),
}
