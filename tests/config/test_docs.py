"""The documents that are generated from the settings."""

import json

import pytest

from config import DnsSettings, HubSettings, Setting, Settings, settings_of
from config.docs import (
    BEGIN,
    END,
    ROOT,
    dns_page,
    hub_page,
    main,
    page,
    readme_region,
    with_region,
)

PAGES = {Settings: page, HubSettings: hub_page, DnsSettings: dns_page}
EVERYTHING = [
    pytest.param(setting, table, id=setting.variable)
    for table in PAGES
    for setting in settings_of(table)
]


def test_page_is_up_to_date() -> None:
    """docs/settings.md is what the settings say now (python -m config.docs --write)."""
    assert (ROOT / "docs" / "settings.md").read_text() == page()
    assert (ROOT / "docs" / "hub-settings.md").read_text() == hub_page()
    assert (ROOT / "docs" / "dns-settings.md").read_text() == dns_page()


def test_readme_region_is_up_to_date() -> None:
    """Where README.md has the markers, what is between them is what the settings say now."""
    readme = ROOT / "README.md"
    text = readme.read_text() if readme.exists() else ""
    assert with_region(text) == text


@pytest.mark.parametrize(("setting", "table"), EVERYTHING)
def test_every_setting_is_documented(setting: Setting, table: type) -> None:
    """Each setting's row has its default, its sentence and its variable."""
    (row,) = (
        line
        for line in PAGES[table]().splitlines()
        if f"| {setting.rule.doc} |" in line
        and line.startswith(f"| `{setting.path[-1]}` |")
        and (f"`{setting.variable}`" in line or setting.rule.table)
    )
    default = setting.rule.default
    assert setting.rule.is_required or default is None or f"| `{json.dumps(default)}` |" in row
    assert setting.rule.doc.endswith(".")


def test_rows_have_as_many_cells_as_their_table() -> None:
    """No text breaks the tables: it has no column separator of its own."""
    for setting in (each for table in PAGES for each in settings_of(table)):
        kind = setting.rule.kind
        assert "|" not in f"{setting.rule.doc}{setting.rule.default}{kind.described}"


def test_only_the_marked_region_is_replaced() -> None:
    """What stands before and after the markers stays; a text without both stays as a whole."""
    assert with_region(f"a\n{BEGIN}old{END}\nb\n") == f"a\n{readme_region()}\nb\n"
    assert with_region(f"a\n{BEGIN}\nb\n") == f"a\n{BEGIN}\nb\n"
    assert with_region("a\n") == "a\n"


def test_printing_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --write the page is printed."""
    main([])
    assert capsys.readouterr().out == page()
