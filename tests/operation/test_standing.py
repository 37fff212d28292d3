"""Work that a fault ended is told of and begun anew, and takes nothing else down with it."""

import asyncio

from proxy.serving import standing
from proxy.serving.standing import keep_running
from tests.registry_store.ground import Heard
from tests.support.waiting import eventually


async def test_a_fault_costs_one_piece_of_work_some_seconds(monkeypatch):
    """One piece that crashes is logged by its name and begun anew; its neighbour never noticed."""
    monkeypatch.setattr(standing, "AGAIN_SECONDS", 0.0)
    heard, begun = Heard(), {"faulty": 0, "sound": 0}

    async def faulty() -> None:
        begun["faulty"] += 1
        if begun["faulty"] < 3:
            raise KeyError("nobody thought of it")

    async def sound() -> None:
        begun["sound"] += 1
        await asyncio.Event().wait()

    running = asyncio.create_task(
        keep_running({"faulty": faulty, "sound": sound}, heard.telemetry.log)
    )
    await eventually(lambda: begun["faulty"] == 3, what="begun anew")
    assert begun["sound"] == 1
    assert [each["work"] for each in heard.events("work.crashed")] == ["faulty", "faulty"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    heard.close()
