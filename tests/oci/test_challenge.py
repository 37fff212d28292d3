"""WWW-Authenticate read and written, and scopes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.oci.challenge import (
    Challenge,
    Scheme,
    Scope,
    basic_header,
    bearer_header,
    parse_challenges,
    repository_scope,
)
from proxy.oci.request import Action

REALM = "https://auth.example.com/token"
BEARER = Challenge(Scheme.BEARER, REALM, "registry.example.com")
BASIC = Challenge(Scheme.BASIC, "Registry")
BEARER_LINE = f'Bearer realm="{REALM}",service="registry.example.com"'
BASIC_LINE = 'Basic realm="Registry"'


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([BEARER_LINE], [BEARER]),
        ([BASIC_LINE], [BASIC]),
        ([BEARER_LINE, BASIC_LINE], [BEARER, BASIC]),
        ([BASIC_LINE, BEARER_LINE], [BASIC, BEARER]),
        ([f"{BEARER_LINE}, {BASIC_LINE}"], [BEARER, BASIC]),
        ([f"{BASIC_LINE},{BEARER_LINE}"], [BASIC, BEARER]),
        ([f"{BASIC_LINE} , {BEARER_LINE}, "], [BASIC, BEARER]),
        ([f", ,{BASIC_LINE}"], [BASIC]),
        ([f"{BEARER_LINE},{BEARER_LINE}"], [BEARER, BEARER]),
        # other schemes, with parameters, with a token68, with nothing
        ([f'Digest realm="a, Basic realm=b", nonce="x", {BASIC_LINE}'], [BASIC]),
        ([f"Negotiate, {BEARER_LINE}"], [BEARER]),
        ([f"Negotiate YIIB/+oGc=, {BEARER_LINE}"], [BEARER]),
        ([f"Negotiate YIIB==, {BEARER_LINE}"], [BEARER]),
        ([f"Negotiate YIIB, {BEARER_LINE}"], [BEARER]),
        (["Negotiate YIIB=", BEARER_LINE], [BEARER]),
        ([f"NTLM a.b-c_d~e, Negotiate, {BASIC_LINE}"], [BASIC]),
        # spelling
        ([f"bearer realm={REALM!r}"], [Challenge(Scheme.BEARER, f"'{REALM}'")]),
        ([BEARER_LINE.replace("Bearer", "BEARER").replace("realm", "Realm")], [BEARER]),
        ([BEARER_LINE.replace("=", " = ").replace(",", "\t,\t")], [BEARER]),
        (["Bearer realm=token,service=plain"], [Challenge(Scheme.BEARER, "token", "plain")]),
        (["Basic"], [Challenge(Scheme.BASIC)]),
        (["Bearer"], [Challenge(Scheme.BEARER)]),
        (["Basic, Bearer"], [Challenge(Scheme.BASIC), Challenge(Scheme.BEARER)]),
        (['Basic realm=""'], [Challenge(Scheme.BASIC)]),
        (
            [f'Bearer scope="repository:a:pull,push",error="invalid_token",realm="{REALM}"'],
            [Challenge(Scheme.BEARER, REALM)],
        ),
        # quoting: what looks like a challenge inside quotes is none (BBOT, CVE-2026-12566)
        (['Basic realm="a\\"b\\\\c"'], [Challenge(Scheme.BASIC, 'a"b\\c')]),
        (
            ['Basic realm="a, Bearer realm=\\"https://evil.example.com\\", b"'],
            [Challenge(Scheme.BASIC, 'a, Bearer realm="https://evil.example.com", b')],
        ),
        (
            [f'Bearer service="x realm=\\"https://evil.example.com\\"",realm="{REALM}"'],
            [Challenge(Scheme.BEARER, REALM, 'x realm="https://evil.example.com"')],
        ),
        # a parameter that stands twice: the first counts
        (['Basic realm="Registry",realm="https://evil.example.com"'], [BASIC]),
        # what can't be read ends its line
        (['Basic realm="Registry", ???, Bearer realm="x"'], [BASIC]),
        (['Bearer realm="https://auth.example.com'], [Challenge(Scheme.BEARER)]),
        (["", " ", ",", "=", '"', "\\", "\u00e4"], []),
        (["Bearerrealm"], []),
        ([f"X{BEARER_LINE}"], []),
        ([], []),
    ],
)
def test_challenges_are_read(lines: list[str], expected: list[Challenge]) -> None:
    """Basic and Bearer challenges are told, in order, from anything that stands around them."""
    assert list(parse_challenges(lines)) == expected


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("invalid_token", "invalid_token"),
        ("insufficient_scope", "insufficient_scope"),
        ("invalid_request", "invalid_request"),
        ("INVALID_TOKEN", ""),
        ("anything", ""),
        ("", ""),
    ],
)
def test_error_of_a_challenge_is_a_known_word(word: str, error: str) -> None:
    """What was wrong is told in RFC 6750's words alone, and makes no other challenge."""
    (found,) = parse_challenges([f'{BEARER_LINE},error="{word}"'])
    assert found.error == error
    assert found == BEARER


printable = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_characters="\x7f")
)


@given(realm=printable, service=printable, basic=printable)
def test_what_we_write_is_what_is_read(realm: str, service: str, basic: str) -> None:
    """A challenge of ours is read back, whatever its realm and service are; two in a line too."""
    bearer = bearer_header(realm, service, [Scope("repository", "a", frozenset({"pull"}))], "e")
    expected = (Challenge(Scheme.BEARER, realm, service), Challenge(Scheme.BASIC, basic))
    assert parse_challenges([bearer, basic_header(basic)]) == expected
    assert parse_challenges([f"{bearer}, {basic_header(basic)}"]) == expected


@given(
    lines=st.lists(
        st.text(max_size=60)
        | st.lists(
            st.sampled_from(
                [*'",=\\ \t', "Basic", "Bearer ", "realm", 'realm="', "YII=", "a", '\\"', "\u00e4"]
            ),
            max_size=30,
        ).map("".join),
        max_size=3,
    )
)
@example(lines=["a" * 8000])
@example(lines=["a " * 4000])
@example(lines=["a=" * 4000])
@example(lines=['a="' * 2600])
@example(lines=['Bearer a="' + "\\" * 8000])
@example(lines=["Basic" + " " * 8000 + "x"])
@example(lines=["Basic " + "a" * 8000 + "=" * 100 + "!"])
@example(lines=["Basic," * 1300])
def test_any_header_is_read_to_an_end(lines: list[str]) -> None:
    """No text makes the parser fail or go on without end, or gives another scheme."""
    for challenge in parse_challenges(lines):
        assert challenge.scheme in (Scheme.BASIC, Scheme.BEARER)
        assert any(challenge.realm in line.replace("\\", "") for line in lines) or (
            "\\" in challenge.realm
        )


@given(text=st.text())
def test_nothing_leaves_its_quotes(text: str) -> None:
    """A header of ours has no line end and no quote that would end a value early."""
    header = bearer_header(text, "", error=text)
    assert not {"\r", "\n", "\0"} & set(header)
    found = parse_challenges([header])
    assert len(found) == 1
    assert parse_challenges([basic_header(text)])[0].scheme is Scheme.BASIC


def test_bearer_header_is_written_as_the_token_spec_says() -> None:
    """realm, service, scope and error, those that there are, in this order."""
    scopes = [repository_scope("team/app", Action.PUSH), repository_scope("a", Action.PULL)]
    assert bearer_header(REALM, "r", scopes, "insufficient_scope") == (
        f'Bearer realm="{REALM}",service="r",'
        'scope="repository:team/app:pull,push repository:a:pull",error="insufficient_scope"'
    )
    assert bearer_header(REALM, "r") == f'Bearer realm="{REALM}",service="r"'
    assert basic_header('a"b') == 'Basic realm="a\\"b"'


# --- scopes ---------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_characters=":,"), min_size=1, max_size=8)
scopes = st.builds(
    Scope,
    words,
    st.text(min_size=1, max_size=12),
    st.frozensets(words | st.sampled_from(["pull", "push", "delete", "*"]), max_size=4),
)


@given(scope=scopes)
@example(scope=Scope("repository", "host:5000/team/app", frozenset({"pull", "push"})))
@example(scope=Scope("repository(plugin)", "a", frozenset({"pull"})))
@example(scope=Scope("registry", "catalog", frozenset({"*"})))
@example(scope=Scope("repository", "a", frozenset()))
def test_scope_is_read_back(scope: Scope) -> None:
    """A scope is read back from its text; a name may have colons of its own."""
    assert Scope.parse(str(scope)) == scope


@given(text=st.text())
def test_any_scope_is_read_or_none(text: str) -> None:
    """No text makes the reader of scopes fail, and what it reads means the same when written."""
    found = Scope.parse(text)
    assert found is None or Scope.parse(str(found)) == found


@pytest.mark.parametrize("text", ["", ":", "::", "a", "a:", "a:b", ":a:pull", "repository::pull"])
def test_what_is_no_scope(text: str) -> None:
    """A scope has a type and a name."""
    assert Scope.parse(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("repository:a:pull", True),
        ("repository:a/b:pull,pull", True),
        ("repository:a:pull,", True),
        ("repository:a:pull,push", False),
        ("repository:a:push", False),
        ("repository:a:delete", False),
        ("repository:a:*", False),
        ("repository:a:PULL", False),
        ("repository:a:", False),
        ("repository(plugin):a:pull", False),
        ("registry:catalog:pull", False),
        ("repositories:a:pull", False),
    ],
)
def test_scope_asks_for_pulls_alone(text: str, expected: bool) -> None:
    """C14: only exactly `pull` of a repository gets a token of ours: any other word is more."""
    found = Scope.parse(text)
    assert found is not None
    assert found.is_pull_only is expected


@pytest.mark.parametrize(
    ("action", "actions"),
    [
        (Action.PULL, "pull"),
        (Action.PUSH, "pull,push"),
        (Action.DELETE, "delete"),
    ],
)
def test_scope_of_an_action(action: Action, actions: str) -> None:
    """To push includes to pull, as clients ask for it."""
    assert str(repository_scope("team/app", action)) == f"repository:team/app:{actions}"
