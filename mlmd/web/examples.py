"""Questions to begin with, which any store answers. docs/sql.md tells of more."""

from __future__ import annotations

from typing import Final

EXAMPLES: Final = (
    ("What can be asked?", "show tables"),
    (
        "How many things of each type are there now?",
        "select type, count(*) as things from artifacts where is_current group by type order by things desc",
    ),
    (
        "Who put how much, through what?",
        (
            "select actor, application, count(*) as puts, min(time)::date as first, max(time)::date as last\n"
            "from records\ngroup by all\norder by actor, application"
        ),
    ),
    (
        "What was put last?",
        'select "offset", time, actor, api, reason, changes\nfrom records\norder by "offset" desc\nlimit 20',
    ),
    (
        "Which runs failed, and what had they read?",
        (
            "select e.id, e.type, e.update_time, a.type as read_type, coalesce(a.name, a.uri) as read\n"
            "from executions e\nleft join events v on v.execution_id = e.id and not v.is_output\n"
            "left join artifacts a on a.id = v.artifact_id and a.is_current\nwhere e.is_current and e.state = 'FAILED'\norder by e.id desc"
        ),
    ),
    (
        "How long did the runs of each type take?",
        (
            "select type, count(*) as runs, median(took_s) as median_s, max(took_s) as longest_s\n"
            "from (\n    select id, type, epoch(max(valid_from) - min(valid_from)) as took_s\n    from executions\n    group by id, type\n)\n"
            "group by type\norder by runs desc"
        ),
    ),
    (
        "What changed in the last day, and why?",
        (
            'select "offset", time, actor, change, kind, id, name, reason\nfrom changes_between((select max(time) from records) - interval 1 day)\n'
            'order by "offset" desc'
        ),
    ),
    (
        "What was the newest artifact made from?",
        "select hop, kind, id, type, name, uri\nfrom lineage_upstream((select max(id) from artifacts))",
    ),
    ("How many puts a day?", "select time::date as day, count(*) as puts from records group by day order by day"),
)
