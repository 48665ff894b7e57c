"""`evlog export prov`: what the `prov` library reads back is what the store holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from exchanged import CACHED, DATA, FAILED, INNER, MODEL, NAMELESS, ODD, OUTER, TRAINED, odd_store
from stores import run

from mlmd.exchange import prov as ours
from mlmd.recorder import words

prov = pytest.importorskip("prov.model", reason="needs the extra `prov`")

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("prov") / "store"
    odd_store(place).close()
    return place


def exported(place: Path, file: Path, *words: str, at: str = "now") -> tuple[prov.ProvDocument, dict[str, object]]:
    result = run("-s", place, "--at", at, "export", "prov", *words, file, "--json")
    assert result.exit_code == 0, result.output
    text = file.read_text(encoding="utf-8")
    return prov.ProvDocument.deserialize(content=text, format="json"), json.loads(result.stdout)


def named(document: prov.ProvDocument, name: str) -> dict[str, set[object]]:
    [record] = document.get_record(f"log:{name}")
    found: dict[str, set[object]] = {}
    for key, value in record.attributes:
        found.setdefault(str(key), set()).add(value)
    return found


def test_the_document_is_read_back_as_it_was_and_has_what_the_store_has(place: Path, tmp_path: Path) -> None:
    document, told = exported(place, tmp_path / "all.json")
    text = (tmp_path / "all.json").read_text(encoding="utf-8")
    again = prov.ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    # Not documents: a NaN is no other's equal.
    assert sorted(map(str, again.get_records())) == sorted(map(str, document.get_records()))
    assert (
        told["records"]
        == ours.counts(document)
        == {
            "activity": 3,
            "agent": 2,
            "entity": 6,  # Three artifacts, two contexts, the citation.
            "hadMember": 3,  # Two artifacts, a context.
            "used": 3,
            "wasAssociatedWith": 4,  # Two put the first run.
            "wasAttributedTo": 5,
            "wasDerivedFrom": 1,
            "wasGeneratedBy": 1,
            "wasInfluencedBy": 2,  # A pending output, a run in a context.
            "wasInformedBy": 1,
        }
    )
    status = json.loads(run("-s", place, "status", "--json").stdout)
    cited = named(document, f"records/{told['offset']}")
    assert (told["offset"], told["root"]) == (status["records"], status["root"])
    assert cited["evlog:root"] == {status["root"]}
    assert "NaN" not in text.replace('"NaN"', "")  # As PROV-JSON writes it, it is a text.


def test_every_kind_of_value_comes_back(place: Path, tmp_path: Path) -> None:
    document, _told = exported(place, tmp_path / "all.json")
    model = named(document, f"artifact/{MODEL}")
    assert model["property:acc"] == {float("inf")}
    assert model["custom:big"] == {2**62}
    assert model["custom:flag"] == {True}
    assert model["custom:"] == {""}
    assert ODD in {value for values in model.values() for value in values if isinstance(value, str)}
    assert model["evlog:state"] == {"LIVE"}
    assert model["prov:location"] == {f"../{ODD}"}
    trained = named(document, f"execution/{TRAINED}")
    assert str(trained["custom:m.loss"]) == "{nan}"
    [deep] = trained["custom:p.deep"]
    assert json.loads(str(deep.value)) == {"a": [1.0, None, {"b": ODD}]}
    assert {value.isoformat() for value in trained["prov:endTime"]} == {"2023-11-14T22:13:20.123000+00:00"}
    assert named(document, f"artifact/{DATA}")["evlog:tainted"] == {"label leak"}
    assert named(document, f"artifact/{DATA}")["prov:label"] == {"taxi:7"}
    assert named(document, f"context/{OUTER}")["prov:label"] == {ODD}
    assert "prov:endTime" in named(document, f"execution/{FAILED}")
    assert named(document, f"execution/{CACHED}")[f"custom:{words.REUSES}"] == {TRAINED}
    assert "evlog:external_id" not in named(document, f"artifact/{NAMELESS}")


def test_a_lineage_holds_no_siblings(place: Path, tmp_path: Path) -> None:
    document, _told = exported(place, tmp_path / "model.json", f"art:{MODEL}")
    names = {str(record.identifier) for record in document.get_records() if record.identifier}
    assert {f"log:artifact/{DATA}", f"log:execution/{TRAINED}", f"log:context/{INNER}", f"log:context/{OUTER}"} <= names
    assert not {f"log:execution/{FAILED}", f"log:execution/{CACHED}", f"log:artifact/{NAMELESS}"} & names
    by_name, _ = exported(place, tmp_path / "named.json", "taxi:7")
    assert by_name.get_record(f"log:artifact/{MODEL}")
    whole, _ = exported(place, tmp_path / "data.json", f"run:{CACHED}")
    assert {str(one.identifier) for one in whole.get_records(prov.ProvActivity)} == {f"log:execution/{CACHED}"}


def test_a_document_is_of_the_moment_asked_for(place: Path, tmp_path: Path) -> None:
    document, told = exported(place, tmp_path / "early.json", at="#8")
    assert told["offset"] == 8
    assert "prov:endTime" not in named(document, f"execution/{TRAINED}")
    _again, _told_again = exported(place, tmp_path / "again.json", at="#8")
    assert (tmp_path / "early.json").read_bytes() == (tmp_path / "again.json").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("art:99", "new.json"), "there is no art:99"),
        (("ctx:1", "new.json"), "has no lineage"),
        (("type:Trainer", "new.json"), "a type; name an artifact"),
        (("nonsense", "new.json"), "there is no nonsense"),
        (("there.json",), "is there already"),
        (("no/such/new.json",), "does not exist"),
        (("art:1", "art:2", "new.json"), "too much"),
    ],
)
def test_what_cannot_be_exported_is_said_and_nothing_is_made(
    place: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "there.json").write_text("mine", encoding="utf-8")
    *named_, file = words
    result = run("-s", place, "export", "prov", *named_, tmp_path / file)
    assert (result.exit_code in (1, 2), said in result.stderr) == (True, True), result.output
    assert [path.name for path in tmp_path.iterdir()] == ["there.json"]
    assert (tmp_path / "there.json").read_text(encoding="utf-8") == "mine"
