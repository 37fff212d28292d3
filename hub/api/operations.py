"""The description of every route, by method and path. A route that isn't here isn't served."""

from collections.abc import Mapping

from hub.api import examples, others
from hub.api.geo_operations import GEO
from hub.api.operation import Answer, Body, Operation, Who
from hub.errors import CursorGone, NotFound
from hub.history.forms import (
    Arrived,
    LogsPage,
    LogsQuery,
    Report,
    ReportOutcome,
    WaitQuery,
)
from hub.history.waiting import NotComplete
from hub.instances.errors import (
    HasReplicas,
    NoPrimary,
    RegionOfPrimary,
    ReplicaExists,
    UnsupportedRegion,
)
from hub.instances.forms import (
    Created,
    Creation,
    PrimaryView,
    ReplicaList,
    ReplicaView,
    SelfView,
)

Key = tuple[str, str]
_ONE = {"id": examples.REPLICA}
_LETTER = {"id": "17"}

_SENDERS: dict[Key, Operation] = {
    ("POST", "/notifications"): Operation(
        name="notify",
        summary="Say what has happened at the primary, as the registry's webhooks do",
        who=Who.SENDER,
        query=others.SenderQuery,
        body=Body(None, examples.NOTIFICATION),
        answers=(
            Answer(
                202,
                "It is durable; what isn't understood is parked",
                others.Receipt,
                example={"logged": 1, "repeated": 0, "ignored": 0, "parked": False},
            ),
        ),
    ),
}

_REPLICAS: dict[Key, Operation] = {
    ("GET", "/v1/self"): Operation(
        name="self",
        summary="What a replica is told of itself; its ETag changes with everything but `head`",
        who=Who.REPLICA,
        answers=(
            Answer(
                200,
                "What the replica keeps",
                SelfView,
                example={
                    "replica": {
                        "id": examples.REPLICA,
                        "region": examples.REGION,
                        "state": "Running",
                    },
                    "primary": examples.PRIMARY,
                    "replication": examples.REPLICATION,
                    "verify_every_seconds": 60.0,
                    "epoch": examples.EPOCH,
                    "head": 1712,
                    "networks": ["10.9.0.0/16"],
                },
            ),
            Answer(304, "Nothing of it has changed since the ETag of If-None-Match"),
        ),
    ),
    ("GET", "/v1/events"): Operation(
        name="events",
        summary="The event log after a cursor, as server-sent events: notice, heartbeat, settings",
        who=Who.REPLICA,
        query=others.EventsQuery,
        query_example={"after": f"{examples.EPOCH}:1711"},
        answers=(Answer(200, "A stream without an end", media_type="text/event-stream"),),
        errors=(CursorGone,),
    ),
    ("POST", "/v1/lease"): Operation(
        name="lease",
        summary="Ask for how long tags count as current",
        who=Who.REPLICA,
        body=Body(others.LeaseRequest, {"cursor": f"{examples.EPOCH}:1712"}),
        answers=(
            Answer(
                200,
                "The head of the log, and how long it is enough to have reached it",
                others.Lease,
                example={"epoch": examples.EPOCH, "head": 1712, "lease_seconds": 30.0},
            ),
        ),
        errors=(CursorGone,),
    ),
    ("POST", "/v1/reports"): Operation(
        name="report",
        summary="Say how a replica is, and what became of artifacts",
        who=Who.REPLICA,
        body=Body(Report, {"status": examples.STATUS, "entries": [examples.ENTRY]}),
        answers=(
            Answer(
                200,
                "It is durable; refused entries are not to be sent again",
                ReportOutcome,
                example={"kept": 1, "refused": []},
            ),
        ),
    ),
}

_INSTANCES: dict[Key, Operation] = {
    ("GET", "/v1/primary"): Operation(
        name="showPrimary",
        summary="The primary instance and its replicas",
        who=Who.OPERATOR,
        answers=(
            Answer(
                200,
                "The primary",
                PrimaryView,
                example={**examples.PRIMARY, "replicas": [examples.REPLICA]},
            ),
        ),
        errors=(NotFound,),
    ),
    ("DELETE", "/v1/primary"): Operation(
        name="deletePrimary",
        summary="Delete the primary instance, which no replica may outlive",
        who=Who.OPERATOR,
        answers=(Answer(204, "No replica can be made until the hub starts again"),),
        errors=(HasReplicas,),
    ),
    ("GET", "/v1/replicas"): Operation(
        name="listReplicas",
        summary="All replica instances, by region",
        who=Who.OPERATOR,
        answers=(Answer(200, "The replicas", ReplicaList, example={"replicas": [examples.VIEW]}),),
    ),
    ("POST", "/v1/replicas"): Operation(
        name="createReplica",
        summary="Make a replica instance in a region that has none",
        who=Who.OPERATOR,
        body=Body(Creation, {"region": examples.REGION}),
        answers=(
            Answer(
                201,
                "It was made; the token is shown this once",
                Created,
                example={
                    "id": examples.REPLICA,
                    "region": examples.REGION,
                    "token": "pxj_example-of-a-join-token",
                },
            ),
        ),
        errors=(UnsupportedRegion, RegionOfPrimary, ReplicaExists, NoPrimary),
    ),
    ("GET", "/v1/replicas/{id}"): Operation(
        name="showReplica",
        summary="One replica instance",
        who=Who.OPERATOR,
        path=_ONE,
        answers=(Answer(200, "The replica", ReplicaView, example=examples.VIEW),),
    ),
    ("PATCH", "/v1/replicas/{id}"): Operation(
        name="changeReplica",
        summary="Let a replica copy something else; null: what the hub's settings say",
        who=Who.OPERATOR,
        path=_ONE,
        body=Body(others.ReplicationChange, {"replication": examples.REPLICATION}),
        answers=(Answer(200, "The replica", ReplicaView, example=examples.VIEW),),
    ),
    ("DELETE", "/v1/replicas/{id}"): Operation(
        name="deleteReplica",
        summary="Delete a replica instance: it drains first, then its token counts for nothing",
        who=Who.OPERATOR,
        path=_ONE,
        answers=(
            Answer(200, "It is deleted", ReplicaView, example=examples.DELETED),
            Answer(202, "It drains", ReplicaView, example=examples.DRAINING),
        ),
    ),
}

_LOG: dict[Key, Operation] = {
    ("GET", "/v1/logs"): Operation(
        name="logs",
        summary="The replication log of all regions",
        who=Who.OPERATOR,
        query=LogsQuery,
        query_example={"repository": "shop/api", "state": "complete"},
        answers=(
            Answer(
                200,
                "A page of it",
                LogsPage,
                example={"entries": [examples.ENTRY], "next": None, "revision": "2044"},
            ),
        ),
    ),
    ("GET", "/v1/wait"): Operation(
        name="wait",
        summary="Answer once an artifact is complete in a region, or in all of them",
        who=Who.OPERATOR,
        query=WaitQuery,
        query_example={
            "repository": "shop/api",
            "reference": examples.DIGEST,
            "region": examples.REGION,
            "timeout": "30",
        },
        answers=(Answer(200, "It is complete there", Arrived, example=examples.ARRIVED),),
        errors=(NotFound, NotComplete),
    ),
    ("GET", "/v1/parked"): Operation(
        name="listParked",
        summary="Notifications that weren't understood, the oldest first",
        who=Who.OPERATOR,
        query=others.PageQuery,
        answers=(
            Answer(200, "A page of them", others.ParkedPage, example={"parked": [], "next": None}),
        ),
    ),
    ("POST", "/v1/parked/{id}/replay"): Operation(
        name="replayParked",
        summary="Try a parked notification once more",
        who=Who.OPERATOR,
        path=_LETTER,
        answers=(
            Answer(
                200,
                "What came of it",
                others.ParkedOutcome,
                example={
                    "logged": 1,
                    "repeated": 0,
                    "ignored": 0,
                    "parked": False,
                    "reason": "",
                },
            ),
        ),
    ),
    ("DELETE", "/v1/parked/{id}"): Operation(
        name="removeParked",
        summary="Forget a parked notification",
        who=Who.OPERATOR,
        path=_LETTER,
        answers=(Answer(204, "It is gone"),),
    ),
    ("POST", "/v1/replay"): Operation(
        name="replay",
        summary="Put events at the end of the log once more, for all replicas",
        who=Who.OPERATOR,
        body=Body(others.ReplayRequest, {"after": 1700, "repository": "shop/api"}),
        answers=(
            Answer(
                200,
                "How many that were",
                others.Replayed,
                example={"replayed": 12, "is_whole": True},
            ),
        ),
    ),
    ("GET", "/openapi.json"): Operation(
        name="description",
        summary="This description",
        who=Who.ANYBODY,
        answers=(Answer(200, "OpenAPI 3.1"),),
    ),
}

OPERATIONS: Mapping[Key, Operation] = {
    **_SENDERS,
    **_REPLICAS,
    **_INSTANCES,
    **_LOG,
    **GEO,
}
