"""The forms of a preview: a comment, a page, a terminal, JSON; and the one comment of a pull request."""

from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cmarkgfm
import pytest
from bs4 import BeautifulSoup
from cmarkgfm.cmark import Options
from pydantic import SecretStr

from gitops.clients.github import Hub, RepositorySettings
from gitops.clients.github.workflow_run import WorkflowRun, pull_request
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.preview import artifact, comment, text
from gitops.preview.lines import diff_lines
from gitops.preview.model import ApplicationChange, FieldChange, ObjectChange, Preview
from tests.artifacts import event, zipped
from tests.conftest import commit_all, gitops
from tests.fakes.github import TOKEN, GitHub
from tests.previews import edit, large, terminal
from tests.world import run_here


@pytest.mark.parametrize("count", [1, 60, 100, 500, 5000])
def test_a_comment_never_exceeds_githubs_limit(count: int) -> None:
    body = text.markdown(large(count), artifact="preview")
    assert len(body) <= text.LIMIT
    assert body.startswith(text.MARKER)
    whole = count * 800 < text.LIMIT - 5000
    assert ("Too long for a comment. The whole is the artifact preview." in body) is not whole
    assert body.count("<details>") == (count if whole else 0)


def test_what_a_stranger_wrote_is_text_in_every_form() -> None:
    bad = "</details> @everyone [x](http://evil) <img src=x onerror=alert(1)> ``` \x1b[2J | a"
    field = FieldChange(path="data.text", old=None, new=f"```\n{bad}")
    objects = (ObjectChange(action="changed", kind="ConfigMap", namespace="n", name=bad, fields=(field,)),)
    app = ApplicationChange(name=bad, action="changed", objects=objects, notable=(bad,))
    shown = Preview(base=bad, head=bad, looked=1, applications=(app,))
    body = text.markdown(shown)
    # All of it is code.
    comment = BeautifulSoup(cmarkgfm.github_flavored_markdown_to_html(body, Options.CMARK_OPT_UNSAFE), "html.parser")
    assert comment.find(["a", "img"]) is None
    assert len(comment.find_all("details")) == 1
    for span in comment.find_all("code"):
        span.extract()
    assert "everyone" not in comment.get_text()
    assert "\x1b[2J" not in body + terminal(shown)

    class Tags(HTMLParser):
        seen: set[str] = set()  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.seen.add(tag)

    parser = Tags()
    parser.feed(text.page(shown))
    assert "img" not in parser.seen
    assert "pre" in parser.seen


def test_a_line_has_the_colour_of_what_it_is_and_not_of_its_first_letter() -> None:
    field = FieldChange(path="data.text", old="+ a", new="@@ b\n- c")
    changed = ObjectChange(action="changed", kind="ConfigMap", namespace="n", name="c", fields=(field,))
    apps = (
        ApplicationChange(name="a", action="changed", objects=(changed,)),
        ApplicationChange(name="b", action="broken", error="- not YAML:\n+ or a tab"),
    )
    shown = Preview(base="a", head="b", looked=2, applications=apps)
    lines = [(line.kind, line.text) for line in itertools.chain.from_iterable(map(diff_lines, apps))]
    assert lines == [
        ("header", "@@ ConfigMap n/c @@"),
        ("removed", "- data.text: + a"),
        ("added", "+ data.text: @@ b"),
        ("added", "+   - c"),
        ("error", "- not YAML:"),
        ("error", "+ or a tab"),
    ]
    assert re.findall(r"<span class=(.)>", text.page(shown)) == ["c", "r", "a", "a", "n", "n"]
    cyan, red, green = ("\x1b[36m", "\x1b[31m", "\x1b[32m")
    colours = re.findall(r"^(\x1b\[3\dm)  ", terminal(shown), re.MULTILINE)
    assert colours == [cyan, red, green, green, red, red]


@pytest.mark.bots
def test_colours_are_for_a_terminal_alone(scratch: Checkout) -> None:
    edit(scratch, "overlays/mogle/prod/ingress.yaml", "www.mogle", "web.mogle")
    done = gitops(scratch, "preview", "--base", "HEAD")
    assert done.code == 0, done.err
    assert "\x1b[" not in done.out
    assert "! removes host www.mogle.example.com" in done.out
    assert "+ spec.rules[host=web.mogle.example.com]" in done.out


@pytest.mark.bots
def test_all_forms_say_the_same(scratch: Checkout, tmp_path: Path) -> None:
    edit(scratch, "overlays/mogle/prod/ingress.yaml", "www.mogle", "web.mogle")
    done = gitops(scratch, "preview", "--base", "HEAD", "--output", "json", "--write", str(tmp_path / "out"))
    assert done.code == 0, done.err
    assert Preview.model_validate_json((tmp_path / "out/preview.json").read_bytes()) == Preview.model_validate_json(
        done.out
    )
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"preview.md", "preview.html", "preview.json"}
    for file in (tmp_path / "out").iterdir():
        assert "removes host www.mogle.example.com" in file.read_text()


@pytest.mark.bots
def test_an_application_that_does_not_render_fails_the_command(scratch: Checkout) -> None:
    edit(scratch, "overlays/mogle/prod/kustomization.yaml", "  - oauth-42.yaml", "  - nothing.yaml")
    done = gitops(scratch, "preview", "--base", "HEAD")
    assert done.code == 1
    assert "does not render: mogle-prod" in done.err
    assert "nothing.yaml" in done.out


# -- the comment


@pytest.fixture
def pull(github: GitHub) -> GitHub:
    head = github.commit("student/fix", {"README.md": b"x"}, "Fix", parent=github.head("main"))
    assert head
    github._open({"head": "student/fix", "base": "main", "title": "Fix"})
    return github


def hub(github: GitHub) -> Hub:
    return Hub(RepositorySettings(github.name, SecretStr(TOKEN), github.environment["GITHUB_API_URL"]), pause=0)


def preview_of(github: GitHub, count: int) -> Preview:
    return large(count).model_copy(update={"head_sha": github.head("student/fix")})


def run_of(github: GitHub, number: int = 1) -> WorkflowRun:
    """The run of check.yaml that has just ended for a pull request."""
    pull = github.pulls[number]
    payload = event(7, pull.last_head, pull.head, pull.fork or github.name, *([] if pull.fork else [number]))
    return WorkflowRun.model_validate(payload["workflow_run"])


def tell(github: GitHub, preview: Preview) -> comment.Action:
    """Comment as `gitops preview comment` does."""
    run = run_of(github)
    comment.check_same_commit(preview, run)
    return comment.post(hub(github), pull_request(hub(github), run), preview)


@pytest.mark.bots
def test_one_comment_is_written_updated_and_taken_away(pull: GitHub) -> None:
    person = pull.comment(pull.pulls[1], f"{text.MARKER} I am a person", user="student")["id"]
    assert tell(pull, preview_of(pull, 2)) == "written"
    assert tell(pull, preview_of(pull, 2)) == "unchanged"
    assert tell(pull, preview_of(pull, 3)) == "updated"
    assert len(pull.pulls[1].notes) == 2
    assert pull.pulls[1].comments[1] == text.markdown(preview_of(pull, 3), artifact="preview")
    assert tell(pull, preview_of(pull, 0)) == "removed"
    writes = len(pull.writes)
    assert tell(pull, preview_of(pull, 0)) == "nothing"
    assert len(pull.writes) == writes
    assert list(pull.pulls[1].notes) == [person]


@pytest.mark.bots
@pytest.mark.parametrize(
    ("moved", "reason"), [(False, "kept no artifact preview"), (True, "0 open pull requests are at")]
)
def test_a_check_that_was_cancelled_has_nothing_to_tell_and_is_not_red(
    scratch: Checkout, pull: GitHub, tmp_path: Path, moved: bool, reason: str
) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event(7, str(pull.head("student/fix")), "student/fix", pull.name, 1)))
    if moved:
        pull.commit("student/fix", {"README.md": b"y"}, "More", parent=pull.head("student/fix"))
    writes = len(pull.writes)
    environment = {**pull.environment, "GITHUB_EVENT_PATH": str(file)}
    done = run_here(scratch.root, ["preview", "comment"], None, environment)
    assert (done.code, len(pull.writes)) == (0, writes), done.err
    assert "nothing to tell: run 7" in done.out
    assert reason in done.out


@pytest.mark.bots
def test_an_old_run_tells_nothing_of_a_newer_commit(pull: GitHub) -> None:
    old = run_of(pull)
    pull.commit("student/fix", {"README.md": b"y"}, "More", parent=pull.head("student/fix"))
    with pytest.raises(InputError, match="0 open pull requests are at"):
        pull_request(hub(pull), old)
    with pytest.raises(InputError, match="is of another commit"):
        comment.check_same_commit(preview_of(pull, 2), old)


@pytest.mark.bots
def test_a_forks_run_is_told_of_on_its_own_pull_request(pull: GitHub) -> None:
    pull.fork_opens("stranger/gitops", "student/fix", pull.pulls[1].last_head)
    # The same commit and the same branch name; GitHub names no pull request for a fork's run.
    assert pull_request(hub(pull), run_of(pull, 2)).number == 2
    assert pull_request(hub(pull), run_of(pull, 1)).number == 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        "not json",
        '{"base": "a", "head": "b", "looked": "x"}',
        '{"base":"a","head":"b","looked":1,"more":1}',
        "\x00\xff",
        "[" * 1_000_000,
        '{"base":"a","head":"b","looked":1,"applications":[{"name":"a","action":"added","after":{"cpu":NaN}}]}',
    ],
    ids=lambda content: content[:20],
)
def test_a_strangers_preview_is_refused_with_one_message(content: str) -> None:
    with pytest.raises(InputError, match=r"preview\.json of the artifact: .*expected what check.yaml of main keeps"):
        artifact.read(zipped({"preview.json": content.encode("latin-1")}))


@pytest.mark.bots
def test_the_command_needs_to_be_told_where(scratch: Checkout, tmp_path: Path) -> None:
    assert "no payload of a workflow_run event" in gitops(scratch, "preview", "comment").err
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event(7, "a" * 40, "student/fix", "platform/gitops", 1)))
    done = gitops(scratch, "preview", "comment", GITHUB_EVENT_PATH=str(file))
    assert done.code == 2
    assert "not set: GITHUB_REPOSITORY, GITHUB_TOKEN" in done.err


@pytest.mark.bots
def test_a_commit_without_a_change_of_any_application_says_so(scratch: Checkout) -> None:
    (scratch.root / "README.md").write_text("words\n")
    commit_all(scratch)
    done = gitops(scratch, "preview", "--base", "HEAD~1", "--head", "HEAD", "--output", "json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert (answer["applications"], answer["looked"]) == ([], 0)
