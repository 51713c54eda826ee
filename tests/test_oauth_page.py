"""42's page: read rightly or refused, whatever happens to it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from gitops.ground.errors import InputError
from gitops.oauth import page
from gitops.oauth.blocks import LayoutError
from tests import leaks, oauth_pages
from tests.fakes.intra42 import Intra42, new_secret

ID = "41002"
UID = "u-s4t2ud-" + "ab" * 32


class Values:
    """A page as 42 shows it, and what stands in it."""

    def __init__(self, *, with_next: bool = True) -> None:
        fake = Intra42({ID: UID})
        try:
            if with_next:
                fake.show_next(ID)
            self.html, self.app, self.now = fake.page(ID), fake.apps[ID], fake.now
        finally:
            fake.close()

    @property
    def secrets(self) -> list[str]:
        return [value for value in (self.app.current, self.app.next) if value]

    def right(self, html: str) -> bool:
        """Whether reading gives exactly what 42 means. A refusal, which tells no value, is not."""
        try:
            reading = page.read(html, ID, self.now)
        except LayoutError as error:
            said = str(error).encode()
        else:
            said = b""
        if said:
            assert leaks.search("error", said, leaks.patterns(self.secrets)) == []
            return False
        assert reading.current
        assert (reading.uid, reading.current.get_secret_value()) == (UID, self.app.current)
        assert (reading.next.get_secret_value() if reading.next else None) == self.app.next
        assert reading.valid_until
        assert reading.valid_until <= self.app.switch
        return True


@pytest.mark.parametrize("with_next", [True, False])
def test_the_known_page_is_read(with_next: bool) -> None:
    values = Values(with_next=with_next)
    assert values.right(values.html)


Mutation = Callable[[str, random.Random], str]


def rename_class(html: str, rng: random.Random) -> str:
    name = rng.choice(["copy", "credential", "credentials", "rotation-actions", "menu", "icon"])
    return html.replace(f'class="{name}"', f'class="{name}-{rng.randrange(1000)}"')


def more_classes(html: str, rng: random.Random) -> str:
    return html.replace('class="copy"', f'class="copy c{rng.randrange(1000)}"')


def rename_attribute(html: str, rng: random.Random) -> str:
    name = rng.choice(["data-copy", "data-clipboard-text"])
    return html.replace(f"{name}=", f"{name}-{rng.randrange(9)}=", rng.choice([1, 2, 3, -1]))


def move_blocks(html: str, rng: random.Random) -> str:
    blocks = re.findall(r'<div class="credential">.*?</div></div>\n', html)
    shuffled = rng.sample(blocks, len(blocks))
    return html.replace("".join(blocks), "".join(shuffled))


def move_actions(html: str, rng: random.Random) -> str:
    match = re.search(r'<div class="rotation-actions">.*?</div>', html)
    assert match
    return html.replace(match[0], "").replace("<h1>", match[0] + "<h1>")


def duplicate_block(html: str, rng: random.Random) -> str:
    block = rng.choice(re.findall(r'<div class="credential">.*?</div></div>\n', html))
    return html.replace(block, block * rng.choice([2, 3]))


def duplicate_with_another_value(html: str, rng: random.Random) -> str:
    block = rng.choice(re.findall(r'<div class="credential">.*?</div></div>\n', html))
    return html.replace(block, block + re.sub(r"s-s4t2ud-[0-9a-f]{64}|u-s4t2ud-[0-9a-f]{64}", new_secret(), block))


def duplicate_attribute(html: str, rng: random.Random) -> str:
    return html.replace(' data-clipboard-text="s-', f' data-clipboard-text="{new_secret()}" data-clipboard-text="s-', 1)


def drop_block(html: str, rng: random.Random) -> str:
    return html.replace(rng.choice(re.findall(r'<div class="credential">.*?</div></div>\n', html)[:2]), "")


def truncate(html: str, rng: random.Random) -> str:
    return html[: rng.randrange(len(html) - 5)]


def empty(html: str, rng: random.Random) -> str:
    return rng.choice(["", " ", "\n", "<html></html>", "null", "{}"])


def login_instead(html: str, rng: random.Random) -> str:
    return '<!DOCTYPE html><html><body><form id="kc-form-login"></form></body></html>'


def hide_the_middle(html: str, rng: random.Random) -> str:
    return re.sub(r"(s-s4t2ud-[0-9a-f]{8})[0-9a-f]{48}", rng.choice([r"\1****", r"\1…", r"\1"]), html)


def swap_case(html: str, rng: random.Random) -> str:
    return re.sub(r"s-s4t2ud-[0-9a-f]{64}", lambda m: m[0].upper(), html)


def swap_uid_and_secret(html: str, rng: random.Random) -> str:
    return (
        html.replace("data-app-uid", "data-app-x")
        .replace("data-app-secret", "data-app-uid")
        .replace("data-app-x", "data-app-secret")
    )


def same_twice(html: str, rng: random.Random) -> str:
    shown = re.findall(r"s-s4t2ud-[0-9a-f]{64}", html)
    return html.replace(shown[-1], shown[0])


def another_application(html: str, rng: random.Random) -> str:
    return html.replace(f"-{ID}]", f"-{int(ID) + rng.randrange(1, 9)}]")


def reword_the_date(html: str, rng: random.Random) -> str:
    new = rng.choice(
        ["Expires 1/1/2027", "Valid until 2027-13-01", "Valid until 31/02/2027", "Valid until tomorrow", ""]
    )
    return re.sub(r"Valid until [\d/]+", new, html)


def two_dates(html: str, rng: random.Random) -> str:
    return re.sub(r"(Valid until )([\d/]+)", rf"\1\2 \g<1>{rng.randrange(1, 9)}/1/2027", html)


def the_same_date_twice(html: str, rng: random.Random) -> str:
    return re.sub(r"(Valid until [\d/]+)", r"\1 \1", html)


def old_layout(html: str, rng: random.Random) -> str:
    return re.sub(r'<div class="copy".*?data-clipboard-text="([^"]*)".*?</div>', r"<pre>\1</pre>", html)


def comment_out(html: str, rng: random.Random) -> str:
    block = rng.choice(re.findall(r'<div class="credential">.*?</div></div>\n', html))
    return html.replace(block, f"<!-- {block} -->")


def other_quotes(html: str, rng: random.Random) -> str:
    return html.replace('"', "'")


def more_space(html: str, rng: random.Random) -> str:
    return html.replace("><", ">\n   <").replace("Valid until", "Valid \n until")


def other_text(html: str, rng: random.Random) -> str:
    return html.replace("Application", "Anwendung").replace("NEXT SECRET", "Upcoming").replace("Generate now", "Make")


def a_banner(html: str, rng: random.Random) -> str:
    return html.replace("<h1>", f'<div class="alert">Maintenance on {rng.randrange(1, 28)}/01/2027</div><h1>')


def next_in_another_form(html: str, rng: random.Random) -> str:
    values = re.findall(r"s-s4t2ud-[0-9a-f]{64}", html)
    return html.replace(
        values[-1], rng.choice(["none", "", "--", "s-s4t2xx-" + "a" * 64, values[-1][:-1], values[-1] + "0"])
    )


MUTATIONS: list[Mutation] = [
    rename_class,
    more_classes,
    rename_attribute,
    move_blocks,
    move_actions,
    duplicate_block,
    duplicate_with_another_value,
    duplicate_attribute,
    drop_block,
    truncate,
    empty,
    login_instead,
    hide_the_middle,
    swap_case,
    swap_uid_and_secret,
    same_twice,
    another_application,
    reword_the_date,
    two_dates,
    the_same_date_twice,
    old_layout,
    comment_out,
    other_quotes,
    more_space,
    other_text,
    a_banner,
    next_in_another_form,
]
# What leaves one reading alone must not stop a rotation.
HARMLESS = {
    duplicate_block, more_classes, move_blocks, move_actions, old_layout, other_quotes, more_space, other_text,
    a_banner, rename_class, the_same_date_twice,
}  # fmt: skip
ROUNDS = 8  # of each: 216 pages


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_mutated_page_is_read_rightly_or_refused(mutation: Mutation) -> None:
    values = Values()
    read = [values.right(mutation(values.html, random.Random(seed))) for seed in range(ROUNDS)]
    assert len(read) == ROUNDS
    if mutation in HARMLESS:
        assert all(read)
    elif mutation not in (rename_attribute, comment_out, hide_the_middle):  # not always of what is read
        assert not any(read)


def test_mutations_can_be_told_from_the_page() -> None:
    """A mutation that changes nothing would prove nothing."""
    html = Values().html
    for mutation in MUTATIONS:
        assert any(mutation(html, random.Random(seed)) != html for seed in range(ROUNDS)), mutation.__name__


def test_two_mutations_at_once_never_give_a_wrong_value() -> None:
    values = Values()
    for seed in range(200):
        rng = random.Random(seed)
        html = values.html
        for mutation in rng.sample(MUTATIONS, 2):
            try:
                html = mutation(html, rng)
            except (IndexError, ValueError, AssertionError):  # the first left nothing to mutate
                continue
        values.right(html)


def test_a_refusal_says_what_differs_and_nothing_else() -> None:
    values = Values()
    html = values.html.replace("data-clipboard-text=", "data-copied=").replace("Valid until", "Ends")
    with pytest.raises(LayoutError) as error:
        page.read(html, ID, values.now)
    assert error.value.difference[:2] == (
        "-div.copy[uid] (data-clipboard-text)",
        "+div.copy[uid] (data-copied)",
    )
    assert "-div.rotation-actions Valid until DATE" in error.value.difference
    assert len(str(error.value)) < 700
    assert UID not in str(error.value)


@pytest.mark.parametrize("value", ["", "hunter2", "s-s4t2ud-" + "g" * 64, "u-s4t2ud-" + "a" * 64])
def test_what_a_person_types_must_have_the_form(value: str) -> None:
    with pytest.raises(InputError, match="not a secret of 42"):
        page.entered(UID, value)


def test_variants_of_what_public_readers_expect_are_read_rightly_or_refused() -> None:
    """`make matrix` reads 300."""
    counted = oauth_pages.tally(oauth_pages.variants(100))
    assert counted.wrong == []
    assert counted.counts["read"] >= 0.95 * counted.counts["readable"] > 50
    assert {variant.fault for variant in oauth_pages.variants()} > {fault.__name__ for fault in oauth_pages.FAULTS}
