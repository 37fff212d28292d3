"""What is said about the routes of regions and networks."""

from collections.abc import Mapping

from hub.api import geo_examples as examples
from hub.api.examples import REGION
from hub.api.operation import Answer, Body, Operation, Who
from hub.geo import errors, forms

Key = tuple[str, str]
_REGION = {"name": REGION}

GEO: Mapping[Key, Operation] = {
    ("GET", "/v1/geo"): Operation(
        name="geo",
        summary="All that it takes to decide where a client goes, at once or when it has changed",
        who=Who.DNS_SERVER,
        query=forms.GeoQuery,
        query_example={"timeout": "0"},
        answers=(Answer(200, "The current revision", forms.Geo, example=examples.GEO),),
        errors=(errors.NoCatalogue,),
    ),
    ("GET", "/v1/regions"): Operation(
        name="listRegions",
        summary="The regions of the catalogue, their health, lag and load",
        who=Who.OPERATOR,
        answers=(
            Answer(
                200,
                "All of them",
                forms.RegionList,
                example={"regions": [examples.VIEW], "note": ""},
            ),
        ),
        errors=(errors.NoCatalogue,),
    ),
    ("POST", "/v1/regions/{name}/drain"): Operation(
        name="drainRegion",
        summary="Let a region have no new clients; it finishes what it serves and goes on copying",
        who=Who.OPERATOR,
        path=_REGION,
        answers=(Answer(200, "The region", forms.RegionView, example=examples.DRAINED),),
        errors=(errors.NoCatalogue,),
    ),
    ("POST", "/v1/regions/{name}/resume"): Operation(
        name="resumeRegion",
        summary="Let a region have clients again",
        who=Who.OPERATOR,
        path=_REGION,
        answers=(Answer(200, "The region", forms.RegionView, example=examples.VIEW),),
        errors=(errors.NoCatalogue, errors.DrainedByCatalogue),
    ),
    ("GET", "/v1/networks"): Operation(
        name="listNetworks",
        summary="The networks that are linked to regions",
        who=Who.OPERATOR,
        query=forms.NetworksQuery,
        query_example={"region": REGION},
        answers=(
            Answer(200, "All of them", forms.NetworkList, example={"networks": [examples.LINKED]}),
        ),
    ),
    ("POST", "/v1/networks"): Operation(
        name="linkNetwork",
        summary="Link a network to a region, which serves no others once it has one",
        who=Who.OPERATOR,
        body=Body(forms.NetworkWish, examples.WISH),
        answers=(Answer(201, "It is linked", forms.LinkedNetwork, example=examples.LINKED),),
        errors=(
            errors.UnknownRegion,
            errors.NetworkInvalid,
            errors.AlreadyLinked,
            errors.TooManyNetworks,
        ),
    ),
    ("DELETE", "/v1/networks/{region}/{network}"): Operation(
        name="unlinkNetwork",
        summary="Take a network away from a region; `_` or `%2F` stands for its slash",
        who=Who.OPERATOR,
        path={"region": REGION, "network": "10.9.0.0_16"},
        answers=(Answer(204, "It is linked no more"),),
        errors=(errors.NetworkInvalid,),
    ),
    ("GET", "/v1/explain"): Operation(
        name="explain",
        summary="Where a client goes for an image and why, and what it finds in each region",
        who=Who.OPERATOR,
        query=forms.ExplainQuery,
        query_example={"reference": "shop/api:1.4.2", "from": examples.CLIENT},
        answers=(Answer(200, "The regions", forms.Explained, example=examples.EXPLAINED),),
        errors=(errors.NoCatalogue,),
    ),
}
