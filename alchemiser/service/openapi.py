"""The door described for programs: an OpenAPI document, made of the tables that the door itself is made of.

Loaded when somebody asks for it. CI has schemathesis try every path of it, with what it allows and with what it does not.
"""

from typing import Any, Final, get_args

from alchemiser import __version__
from alchemiser.service.http import ACTIONS, BODY_BYTES_AT_MOST, Action
from alchemiser.service.view import EVENTS_AT_MOST, EVENTS_BY_DEFAULT, RESOURCES

assert set(get_args(Action)) == set(ACTIONS)

_ABOUT: Final = {
    "status": "Mode, account, trading state, session, streams, open orders and the last rebalance.",
    "positions": "What is held: per symbol the account's quantity, price and value, and each strategy's part.",
    "orders": "The orders of the current or last session, oldest first.",
    "pnl": "Equity, cash and profit, for the account and per strategy.",
    "events": "Journaled events, oldest first.",
    "strategies": "Per strategy its share, state and last target with its explanation.",
    "history": "The results of the sessions, oldest first.",
}
_LISTS: Final = ("positions", "orders", "events", "strategies", "history")


def document() -> dict[str, Any]:
    """Return the document, of OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The Alchemiser",
            "version": __version__,
            "description": "Health, state and control of the running daemon. Control needs the bearer token; on an address wider than "
            "loopback reading the state needs it too. Amounts and quantities are decimal numbers written as text.",
        },
        "paths": {
            "/livez": {"get": _probe("Whether the bus has turned round within the limit; 503: restart the daemon.")},
            "/readyz": {"get": _probe("Whether the daemon may trade, or the reasons why not.")},
            "/healthz": {"get": _probe("Both in one document.")},
            "/metrics": {"get": _get("Metrics for Prometheus.", {"text/plain": {"schema": {"type": "string"}}}, guarded=False)},
            "/api/v1/plan": {"get": _get("What would be traded if a decision were due now; nothing is sent.", _json(_frame()))},
            **{f"/api/v1/{name}": {"get": _resource(name)} for name in RESOURCES},
            **{f"/api/v1/{name}": {"post": _control(name)} for name in ACTIONS},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {
                            "type": "object",
                            "required": ["code", "message"],
                            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
                        }
                    },
                },
                "Reason": {
                    "type": "object",
                    "required": ["code", "text", "since", "remedy", "severity"],
                    "properties": {
                        "code": {"type": "string"},
                        "text": {"type": "string"},
                        "since": {"type": ["string", "null"], "format": "date-time"},
                        "remedy": {"type": "string"},
                        "severity": {
                            "enum": ["stops", "alarm"],
                            "description": "An alarm keeps the daemon from nothing: somebody should know it.",
                        },
                    },
                },
            },
        },
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _error(about: str) -> dict[str, Any]:
    return {"description": about, "content": _json({"$ref": "#/components/schemas/Error"})}


def _frame(**properties: Any) -> dict[str, Any]:
    """Return the schema of an answer, which always says whether it is live and as of when."""
    known = {"live": {"type": "boolean"}, "as_of": {"type": "string", "format": "date-time"}, **properties}
    return {"type": "object", "required": list(known), "properties": known}


def _probe(about: str) -> dict[str, Any]:
    reasons = {"type": "array", "items": {"$ref": "#/components/schemas/Reason"}}
    schema = {"type": "object", "properties": {"live": {"type": "boolean"}, "ready": {"type": "boolean"}, "reasons": reasons}}
    return {
        "summary": about,
        "responses": {"200": {"description": "Yes.", "content": _json(schema)}, "503": {"description": "No.", "content": _json(schema)}},
    }


def _get(about: str, content: dict[str, Any], *, guarded: bool = True, **more: Any) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": content}}
    if guarded:
        responses["429"] = _error("Too many requests; Retry-After says when the next is answered.")
        responses["401"] = _error("The address is wider than loopback, and the token is missing or wrong.")
        responses["409"] = _error("It cannot be answered now; the message says why.")
    return {"summary": about, "responses": responses, **({"security": [{"token": []}, {}]} if guarded else {}), **more}


def _resource(name: str) -> dict[str, Any]:
    rows = {name: {"type": "array", "items": {"type": "object"}}} if name in _LISTS else {}
    bounds = [
        {"name": "after", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}},
        {
            "name": "limit",
            "in": "query",
            "schema": {"type": "integer", "minimum": 1, "maximum": EVENTS_AT_MOST, "default": EVENTS_BY_DEFAULT},
        },
    ]
    found = _get(_ABOUT[name], _json(_frame(**rows)), parameters=bounds if name == "events" else [])
    found["responses"]["400"] = _error("The bounds make no sense.")
    return found


def _control(name: str) -> dict[str, Any]:
    properties = {
        "reason": {"type": "string", "description": "Why, for the journal."},
        "strategy": {"type": ["string", "null"], "description": "This strategy only; pause, resume, halt, reduce, rearm."},
        "guard": {"type": "string", "description": "rearm: which guard."},
        "reset": {"type": "boolean", "description": "rearm: measure anew from now on."},
        "flatten": {"type": "boolean", "description": "kill: sell what the strategies hold, too."},
        "symbol": {"type": "string", "description": "lots: of which symbol."},
        "lots": {"type": "array", "items": {"type": "string"}, "description": "lots: the executions that bought them, first sold first."},
        "check": {"type": "boolean", "description": "reload: say what would change, and change nothing."},
        "accept_cash": {"type": "string", "description": "reconcile: book this difference of cash in dollars, broker less books."},
        "clear": {"type": "array", "items": {"type": "string"}, "description": "reconcile: symbols that are no longer to be parked."},
    }
    accepted = {
        "type": "object",
        "required": ["action", "accepted"],
        "properties": {"action": {"const": name}, "accepted": {"const": True}},
    }
    return {
        "summary": f"Ask the daemon to {name}; the answer says what was done and what was not.",
        "security": [{"token": []}],
        "requestBody": {"required": False, "content": _json({"type": "object", "properties": properties, "additionalProperties": False})},
        "responses": {
            "200": {"description": "Done, or begun.", "content": _json(accepted)},
            "400": _error("The body is not what the action takes, or names what there is not."),
            "401": _error("The token is missing or wrong."),
            "403": _error("Control is off, because the daemon has no token."),
            "409": _error("It cannot be done now; the message says why, and nothing was done."),
            "429": _error("Too many requests, or too many wrong tokens; Retry-After says when the next is answered."),
            "413": _error(f"The body is larger than {BODY_BYTES_AT_MOST} bytes."),
        },
    }
