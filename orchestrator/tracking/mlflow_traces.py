"""Repairs as MLflow traces: a span for the repair, with the tile's picture, and one for each label source.

MLflow's public functions for traces send in the background and drop what does not arrive. So spans are given to the
tracking store's own client, `mlflow.tracing.client.TracingClient` (as of MLflow 3.17), which raises. Ids derive from
run, round, tile and clause, and a store keeps one span of an id: entered twice, a repair comes to the same as once.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Span, SpanType, TraceInfo, TraceLocation, TraceState
from mlflow.tracing.client import TracingClient
from mlflow.tracing.constant import SpanAttributeKey, TraceMetadataKey, TraceTagKey

_STEP_MS = 1
"""Length of a span. Spans have no times of their own: they follow one another, so that they are listed in order."""


class Traces:
    """Enters repairs into one MLflow store.

    Args:
        client: of the store.
        key: names the run that is tracked.
    """

    def __init__(self, client: MlflowClient, key: str) -> None:
        self._client, self._key = client, key
        self._tracing = TracingClient(client.tracking_uri)

    def enter(
        self,
        experiment_id: str,
        run_ids: list[str],
        round_: int,
        at_ms: int,
        repairs: list[dict[str, Any]],
        pictures: Mapping[str, bytes],
    ) -> bool:
        """Enter the repairs of a round.

        Args:
            experiment_id: of the runs.
            run_ids: the run of the round first, then those that the traces are shown with as well.
            round_: number of the round.
            at_ms: when they were told, in milliseconds since 1970.
            repairs: the fields of `Repair`.
            pictures: JPEG of each repair by its place in `repairs`, such as 0.jpg; some may be missing.

        Returns:
            Whether the store can hold traces; False of a server before MLflow 3.4.
        """
        ids = []
        for place, repair in enumerate(repairs):
            identity = _digest(self._key, round_, repair["tile_id"], repair["clause"])
            begin_ms = at_ms + place * _STEP_MS * 10  # the list of traces is in the order of their times
            spans = _spans(identity, begin_ms, repair, pictures.get(f"{place}.jpg"))
            try:
                self._tracing.log_spans(experiment_id, spans)
            except NotImplementedError:  # also where the server did not say its version, as it is away by now
                self._client.search_experiments(max_results=1)
                return False
            self._tracing.start_trace(_info(identity, experiment_id, run_ids[0], round_, begin_ms, len(spans), repair))
            ids.append(f"tr-{identity.hex()}")
        for run_id in run_ids[1:]:
            self._client.link_traces_to_run(ids, run_id)
        return True


def _digest(*parts: str | int) -> bytes:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:16]


def _info(
    identity: bytes, experiment_id: str, run_id: str, round_: int, begin_ms: int, spans: int, repair: Mapping[str, Any]
) -> TraceInfo:
    return TraceInfo(
        trace_id=f"tr-{identity.hex()}",
        trace_location=TraceLocation.from_experiment_id(experiment_id),
        request_time=begin_ms,
        state=TraceState.OK,
        request_preview=_asked(repair),
        response_preview=_answered(repair),
        execution_duration=spans * _STEP_MS,
        trace_metadata={TraceMetadataKey.SOURCE_RUN: run_id},
        tags={
            TraceTagKey.TRACE_NAME: f"repair of {repair['clause']}",
            "knowlip.round": str(round_),
            "knowlip.tile": repair["tile_id"],
            "knowlip.clause": repair["clause"],
            "knowlip.source": repair["source"],
        },
    )


def _spans(identity: bytes, begin_ms: int, repair: Mapping[str, Any], picture: bytes | None) -> list[Span]:
    """The repair's span, and below it one for each source, for the rules and for the decision, in this order."""
    children: list[tuple[str, str, Any, Any]] = []
    for source, said in repair["sayings"].items():
        about = {"weight": said["weight"]} if "weight" in said else {}
        if source == "rules":
            about = {"together": [name for name in repair["sayings"] if name != "rules"]}
        said = {name: value for name, value in said.items() if name != "weight"}
        children.append((source, SpanType.RERANKER if source == "rules" else SpanType.RETRIEVER, about, said))
    decided = {"value": repair["value"], "probability": round(repair["confidence"], 4), "from": repair["source"]}
    children.append(("decision", SpanType.EVALUATOR, {"before": repair["before"]}, {**decided, "why": repair["why"]}))
    content: list[dict[str, Any]] = [{"type": "text", "text": _asked(repair)}]
    if picture is not None:
        url = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
        content.append({"type": "image_url", "image_url": {"url": url}})
    root = _span(
        identity,
        None,
        f"repair of {repair['clause']}",
        SpanType.CHAT_MODEL,
        (begin_ms, len(children) + 1),
        {"messages": [{"role": "user", "content": content}]},
        {"choices": [{"message": {"role": "assistant", "content": _answered(repair)}}]},
    )
    return [
        root,
        *(
            _span(identity, root.name, name, kind, (begin_ms + (at + 1) * _STEP_MS, 1), about, said)
            for at, (name, kind, about, said) in enumerate(children)
        ),
    ]


def _span(
    identity: bytes, parent: str | None, name: str, kind: str, times: tuple[int, int], about: Any, said: Any
) -> Span:
    """A span; times: begin in milliseconds, and length in steps. Attributes are JSON, as MLflow keeps them."""
    begin_ms, steps = times
    attributes = {
        SpanAttributeKey.REQUEST_ID: f"tr-{identity.hex()}",
        SpanAttributeKey.SPAN_TYPE: kind,
        SpanAttributeKey.INPUTS: about,
        SpanAttributeKey.OUTPUTS: said,
    }
    return Span.from_dict(
        {
            "name": name,
            "trace_id": base64.b64encode(identity).decode(),
            "span_id": _span_id(identity, name),
            "parent_span_id": None if parent is None else _span_id(identity, parent),
            "start_time_unix_nano": begin_ms * 10**6,
            "end_time_unix_nano": (begin_ms + steps * _STEP_MS) * 10**6,
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            "attributes": {key: json.dumps(value) for key, value in attributes.items()},
        }
    )


def _span_id(identity: bytes, name: str) -> str:
    return base64.b64encode(_digest(identity.hex(), name)[:8]).decode()


def _asked(repair: Mapping[str, Any]) -> str:
    """The list of traces cuts it after some 40 characters, so that the tile comes last."""
    return f"{repair['clause']} was {repair['before']}, tile {repair['tile_id']}"


def _answered(repair: Mapping[str, Any]) -> str:
    return f"{repair['value']} ({repair['confidence']:.2f}). {repair['why']}"
