-- What can be asked?
show tables;

-- How many things of each type are there now?
select type, count(*) as things from artifacts where is_current group by type order by things desc;

-- Who put how much, through what?
select actor, application, count(*) as puts, min(time)::date as first, max(time)::date as last
from records
group by all
order by actor, application;

-- What was put last?
select "offset", time, actor, api, reason, changes
from records
order by "offset" desc
limit 20;

-- Which runs failed, and what had they read?
select e.id, e.type, e.update_time, a.type as read_type, coalesce(a.name, a.uri) as read
from executions e
left join events v on v.execution_id = e.id and not v.is_output
left join artifacts a on a.id = v.artifact_id and a.is_current
where e.is_current and e.state = 'FAILED'
order by e.id desc;

-- How long did the runs of each type take?
select type, count(*) as runs, median(took_s) as median_s, max(took_s) as longest_s
from (
    select id, type, epoch(max(valid_from) - min(valid_from)) as took_s
    from executions
    group by id, type
)
group by type
order by runs desc;

-- What changed in the last day, and why?
select "offset", time, actor, change, kind, id, name, reason
from changes_between((select max(time) from records) - interval 1 day)
order by "offset" desc;

-- What was the newest artifact made from?
select hop, kind, id, type, name, uri
from lineage_upstream((select max(id) from artifacts));

-- How many puts a day?
select time::date as day, count(*) as puts from records group by day order by day;
