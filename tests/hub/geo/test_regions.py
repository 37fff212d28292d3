"""Regions over REST: seen, drained, and told to DNS servers."""

import asyncio

import pytest

from tests.hub.geo.catalogues import ADDRESSES, FRANKFURT, JAKARTA, NETWORKS, SINGAPORE


async def test_regions_are_listed(api):
    """A region shows what the catalogue says of it, how it stands, and its replica."""
    created = await api.create(SINGAPORE)
    await api.report(status={"load": {"connections": 3, "bytes_per_second": 1024.5}})
    found = (await api.ask("GET", "/v1/regions")).expect(200).document
    assert [each["name"] for each in found["regions"]] == list(ADDRESSES)
    singapore, jakarta, _ = found["regions"]
    assert singapore["number"] == 9
    assert singapore["addresses"] == [ADDRESSES[SINGAPORE]]
    assert singapore["networks"] == [NETWORKS[SINGAPORE]]
    assert singapore["standing"] == "up"
    assert (singapore["replica"], singapore["state"]) == (created["id"], "Running")
    assert singapore["load"] == {"connections": 3, "bytes_per_second": 1024.5}
    assert (jakarta["replica"], jakarta["state"], jakarta["load"]) == (None, None, None)
    assert found["note"] == ""
