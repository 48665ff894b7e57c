"""A store whose log was damaged while it is on show: each page shows what can be shown, and says what is missing and why."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from insider import position_of
from on_show import ASKED, FILLED
from shown import Demo, asking

import mlmd
from evlog import segment
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.story import record_story
from mlmd.web.pages import PAGES
from mlmd.web.site import Site
from mlmd.web.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

SEGMENT, STEP, DAMAGED = 64, 16, 70
HIDDEN = range(DAMAGED, 80)  # To the next record that the segment's index knows.


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The store of the story, in three segments; all that reads it knows how large these are."""
    place = tmp_path_factory.mktemp("segmented") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evlog.log.SEGMENT_RECORDS_MAX", SEGMENT)
        patch.setattr(segment, "INDEX_STEP", STEP)
        with mlmd.open(place) as store:
            record_story(store)
        yield place


@pytest.fixture
def shown(segmented: Path, tmp_path: Path) -> Iterator[Demo]:
    """It, on show when it is damaged: one record in the middle fails its checksum."""
    place = Path(shutil.copytree(segmented, tmp_path / "store", symlinks=True))
    engine = Engine(open_folder(place))
    watch = Watch(place)
    site = Site(engine, "store", place=place, watch=watch.verified)
    file = place / "log" / segment.name_of(SEGMENT)
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[position_of(place, DAMAGED) + 70] ^= 1
    file.write_bytes(data)
    watch.sweep()
    yield Demo(engine, mlmd.open(mlmd.MetadataStore.over(engine)), site, asking(site))
    watch.close()
    engine.close()


def paths() -> list[str]:
    """Return a path of each page that any record is on."""
    found = []
    for entry in PAGES:
        asked = f"?{ASKED[entry.path]}" if entry.path in ASKED else ""
        for filled in FILLED.get(entry.path, ("",))[:1]:
            name = entry.path[entry.path.find("{") + 1 : -1]
            found.append((entry.filled({name: str(filled)}) if filled else entry.path) + asked)
    return found


def test_every_page_is_shown_with_the_red_chip_that_names_the_record(shown: Demo) -> None:
    for path in (*paths(), "/?since=%2320", "/?at=%23100", "/ops?look=1", "/runs/18", "/artifacts/14", "/audit?by=ana"):
        answer = shown.browser.get(path)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        assert f"broken: record {DAMAGED}, {segment.name_of(SEGMENT)}" in answer.text, path


def test_a_page_says_which_damage_hides_a_part_of_it(shown: Demo) -> None:
    run = next(one for one in shown.facts("/audit.json", limit=500)["rows"] if one["offset"] == DAMAGED - 1)
    assert "hidden" not in run
    # What the damaged record put is known to the view: ask for the page of such a thing.
    page = shown.browser.get("/artifacts/24")
    told = shown.browser.get("/artifacts/24.json").json()
    assert f"offset {DAMAGED}" in told["unread"][0]
    assert told["facts"]["fields"], "the properties are known to the view, whoever set them"
    assert "The log is damaged" in page.text
    assert "The log is damaged" not in shown.browser.get("/artifacts/53").text
    assert "unread" not in shown.browser.get("/artifacts/53.json").json()


def test_the_trail_has_every_record_but_those_that_damage_hides_and_a_row_for_these(shown: Demo) -> None:
    rows = shown.facts("/audit.json", limit=500)["rows"]
    (gap,) = [row for row in rows if "hidden" in row]
    assert (gap["offset"], gap["hidden"]) == (HIDDEN.start, len(HIDDEN))
    assert f"records {HIDDEN.start} to {HIDDEN[-1]} cannot be read" in gap["what"]
    others = [row["offset"] for row in rows if "hidden" not in row]
    assert others == [offset for offset in range(shown.engine.log.end - 1, -1, -1) if offset not in HIDDEN]
    assert [row["offset"] for row in rows] == sorted((row["offset"] for row in rows), reverse=True)
    page = shown.browser.get("/audit", params={"limit": 500}).text
    assert gap["what"].partition(":")[0] in page
    assert f'name="record" value="{gap["offset"]}"' not in page, "it cannot be taken along"


@pytest.mark.parametrize("asked", [{"by": "ana"}, {"type": "Trainer"}, {"object": "art:24"}, {"api": "Taint"}])
def test_a_search_of_the_trail_tells_what_it_could_not_look_at(shown: Demo, asked: dict[str, str]) -> None:
    rows = shown.facts("/audit.json", limit=500, **asked)["rows"]
    assert [row["offset"] for row in rows if "hidden" in row] == [DAMAGED]
    assert len(rows) > 1


def test_pages_of_the_trail_join_around_damage(shown: Demo) -> None:
    seen: list[int] = []
    before = -1
    while before is not None:
        facts = shown.facts("/audit.json", limit=7, before=before)
        seen += [row["offset"] for row in facts["rows"]]
        before = facts["go_on"]
    wanted = [offset for offset in range(shown.engine.log.end - 1, -1, -1) if offset not in HIDDEN[1:]]
    assert seen == wanted


def test_what_an_auditor_asks_for_first_is_found_on_both_sides_of_damage(shown: Demo) -> None:
    told = shown.browser.get("/evidence.json").json()
    assert [row["kind"] for row in told["facts"]["notable"]] == ["taint"]
    assert told["facts"]["read"] == shown.engine.log.end
    assert f"offset {DAMAGED}" in told["unread"][0]


def test_a_record_that_cannot_be_read_is_refused_in_words_that_name_the_damage(shown: Demo) -> None:
    for offset in HIDDEN:
        answer = shown.browser.get(f"/audit/{offset}")
        assert answer.status_code == 500
        assert f"(offset {DAMAGED}): the frame body fails its checksum" in answer.text
        assert "chip verified broken" in answer.text
    assert shown.browser.get(f"/audit/{HIDDEN.stop}").status_code == 200


def test_a_question_in_sql_is_refused_where_it_was_asked(shown: Demo) -> None:
    asked = "select count(*) from artifacts where name like '%taxi%'"
    page = shown.browser.get("/sql", params={"q": asked})
    assert page.status_code == 500
    assert "like &#39;%taxi%&#39;" in page.text, "the question is still there"
    assert f"(offset {DAMAGED})" in page.text
    assert f"(offset {DAMAGED})" in shown.browser.get("/sql.json", params={"q": asked}).json()["message"]
