"""The one door: what it hands on to the store behind it, in the names that people use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlmd import errors

if TYPE_CHECKING:
    from mlmd.recorder.store import Store


def test_the_past_is_asked_in_the_names_that_people_use(memory: Store) -> None:
    with memory.run("Trainer", params={"lr": 0.1}) as run:
        run.output("s3://m/1", "Model", name="taxi-model", acc=0.5)
    before = memory.metadata.log.end
    with memory.acting(actor="ana", reason="a better measurement"):
        message = memory.artifact("taxi-model:1").message
        message.custom_properties["acc"].double_value = 0.75
        memory.metadata.put_artifacts([message])
    assert [one.by.actor for one in memory.history("taxi-model:1")][-1] == "ana"
    [set_by] = [one for one in memory.blame("taxi-model@latest") if one.field.endswith("acc")]
    assert (set_by.value, set_by.by.reason) == (0.75, "a better measurement")
    [changed] = memory.diff(before).differences
    assert [(field.old, field.new) for field in changed.fields if field.field.endswith("acc")] == [(0.5, 0.75)]
    for ask in (memory.history, memory.blame):
        with pytest.raises(errors.NotFoundError, match="taxi-model:2"):
            ask("taxi-model:2")


def test_sql_sees_what_was_recorded(memory: Store) -> None:
    pytest.importorskip("duckdb")
    with memory.run("Trainer", params={"lr": 0.1}):
        pass
    asked = "select custom_properties['p.lr']::double from executions where is_current and type = $type"
    assert memory.sql(asked, {"type": "Trainer"}).fetchall() == [(0.1,)]
