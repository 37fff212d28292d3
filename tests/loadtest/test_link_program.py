"""The link as a program of its own."""

from http.client import HTTPConnection

import pytest

from loadtest.address import free_address, parse_address
from loadtest.link import LinkSettings
from loadtest.programs import LinkProgram, Program, ProgramFailed


@pytest.fixture
def link(tmp_path):
    with LinkProgram(free_address(), LinkSettings(0.01, 50e6, 10e6), tmp_path) as program:
        yield program


def test_it_says_where_it_listens_and_counts_over_its_control(link):
    assert parse_address(link.address)[1] > 0
    assert link.counts().connections == 0


def test_its_faults_are_had_over_its_control(link):
    for verb in (link.cut, link.refuse, link.restore):
        assert verb().cut == 0


def test_an_unknown_verb_is_answered_with_the_known_ones(link):
    connection = HTTPConnection(*parse_address(link.control), timeout=5)
    connection.request("POST", "/explode")
    answer = connection.getresponse()
    assert answer.status == 404
    assert b"cut, refuse, restore" in answer.read()
    connection.close()


def test_a_program_that_ends_at_its_start_is_reported_with_what_it_said(tmp_path):
    program = Program(
        "liar",
        ["sh", "-c", "echo no such thing; exit 3"],
        tmp_path,
        lambda: program.wait_for_event("never"),
    )
    with pytest.raises(ProgramFailed, match="no such thing"):
        program.start()


def test_a_program_that_is_not_installed_is_named(tmp_path):
    with pytest.raises(ProgramFailed, match="no-such-program isn't installed"):
        Program("missing", ["no-such-program"], tmp_path, lambda: None)


def test_a_program_that_is_started_again_is_ready_only_when_it_says_so_again(link):
    first = link.address
    link.end()
    link.start()
    assert link.address != first
    assert link.counts().connections == 0
