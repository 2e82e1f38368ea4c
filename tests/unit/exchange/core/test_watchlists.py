"""Watchlists (section 8.8)."""

from typing import Any

import pytest

from tests.unit.exchange.core.scene import Scene, refusal


def made(scene: Scene, **body: Any) -> dict[str, Any]:
    """Create a watchlist."""
    return scene.exchange.watchlists.create({"name": "mine", "symbols": ["TECL", "BIL", "TECL"], **body}, scene.now)


def test_a_watchlist_lives(scene: Scene) -> None:
    """Created, read by id and name, changed, appended to, cut, deleted."""
    lists = scene.exchange.watchlists
    body = made(scene)
    assert ["TECL", "BIL"] == [asset["symbol"] for asset in body["assets"]]
    assert {"id", "account_id", "name", "created_at", "updated_at", "assets"} == set(body)
    assert scene.exchange.account_json()["id"] == body["account_id"]
    assert body == lists.get(list_id=body["id"]) == lists.get(name="mine")
    scene.wait(1000)
    assert ["TECL", "BIL", "HARD"] == [asset["symbol"] for asset in lists.append({"symbol": "HARD"}, scene.now, name="mine")["assets"]]
    after = lists.remove("BIL", scene.now, list_id=body["id"])
    assert (["TECL", "HARD"], True) == ([asset["symbol"] for asset in after["assets"]], after["updated_at"] > body["updated_at"])
    renamed = lists.update({"name": "ours"}, scene.now, list_id=body["id"])
    assert ("ours", 2) == (renamed["name"], len(renamed["assets"]))
    assert ["BIL"] == [asset["symbol"] for asset in lists.update({"symbols": ["BIL"]}, scene.now, name="ours")["assets"]]
    assert [("ours", False)] == [(row["name"], "assets" in row) for row in lists.all_json()]
    lists.delete(name="ours")
    assert [] == lists.all_json()


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"name": "mine"}, 422, "watchlist name must be unique"),
        ({"name": ""}, 422, "watchlist name must be between 1 and 64 characters"),
        ({"name": "x" * 65}, 422, "watchlist name must be between 1 and 64 characters"),
        ({"name": "other", "symbols": "TECL"}, 422, "symbols must be a list"),
        ({"name": "other", "symbols": [7]}, 422, "symbol is required"),
        ({"name": "other", "symbols": ["NONE"]}, 404, "asset not found for NONE"),
    ],
)
def test_a_wrong_watchlist_is_refused(scene: Scene, body: dict[str, Any], status: int, message: str) -> None:
    """422 for what it says, 404 for what is not there; nothing is changed."""
    made(scene)
    answer = refusal(lambda: made(scene, **body))
    assert (status, message) == (answer["status"], answer["message"])
    assert 1 == len(scene.exchange.watchlists.all_json())


def test_what_is_not_there_is_not_found(scene: Scene) -> None:
    """Lists by id and name, symbols of a list; a symbol twice is refused."""
    lists = scene.exchange.watchlists
    made(scene)
    for call in (
        lambda: lists.get(list_id="none"),
        lambda: lists.get(name="none"),
        lambda: lists.delete(list_id="none"),
        lambda: lists.remove("HARD", scene.now, name="mine"),
    ):
        assert 404 == refusal(call)["status"]
    assert 422 == refusal(lambda: lists.append({"symbol": "BIL"}, scene.now, name="mine"))["status"]
    assert 422 == refusal(lambda: lists.append({}, scene.now, name="mine"))["status"]
    made(scene, name="other")
    assert "watchlist name must be unique" == refusal(lambda: lists.update({"name": "mine"}, scene.now, name="other"))["message"]
