-- What can be asked of a moment. `t` is an offset (how many records had been put), a time, or 'now'; the comment before a macro
-- becomes its COMMENT.

-- How many records had been put at a moment: an offset as it is; of a time, those up to and including it; of 'now', all. One that is yet to come is refused.
create macro moment(t) as (
    case
        when t is null then error('a moment is null: give an offset, a time with its zone, or ''now''')
        when lower(t::varchar) = 'now' then (select applied from watermark)
        when regexp_full_match(t::varchar, '#?[0-9]+') then
            case
                when try_cast(ltrim(t::varchar, '#') as bigint) <= (select applied from watermark)
                    then try_cast(ltrim(t::varchar, '#') as bigint)
                else error('#' || ltrim(t::varchar, '#') || ' is a moment that the view has not reached: it shows '
                    || (select applied from watermark) || ' records')
            end
        when try_cast(t::varchar as timestamptz) > now()
            then error(t::varchar || ' is a moment that is yet to come: give ''now'' for everything that was put')
        when try_cast(t::varchar as timestamptz) is not null
            then (select coalesce(max(r.offset) + 1, 0) from records r where r.time <= try_cast(t::varchar as timestamptz))
        else error(t::varchar || ' is no moment: give an offset, a time with its zone, or ''now''')
    end
);

-- The artifacts as they were at a moment, one row each.
create macro artifacts_as_of(t) as table
    select * from artifacts
    where valid_from_offset < moment(t) and (valid_to_offset is null or valid_to_offset >= moment(t));

-- The executions as they were at a moment, one row each.
create macro executions_as_of(t) as table
    select * from executions
    where valid_from_offset < moment(t) and (valid_to_offset is null or valid_to_offset >= moment(t));

-- The contexts as they were at a moment, one row each.
create macro contexts_as_of(t) as table
    select * from contexts
    where valid_from_offset < moment(t) and (valid_to_offset is null or valid_to_offset >= moment(t));

-- The walk behind lineage_upstream and lineage_downstream.
create macro lineage(artifact, t, hops, upstream) as table
    with recursive step as (
        select 'artifact' as near_kind, e.artifact_id as near_id, 'execution' as kind, e.execution_id as id
        from events e where e.is_output = upstream and e.valid_from_offset < moment(t)
        union all
        select 'execution', e.execution_id, 'artifact', e.artifact_id
        from events e where e.is_output <> upstream and e.valid_from_offset < moment(t)
    ),
    walk(kind, id, hop) using key (kind, id) as (
        select 'artifact', a.id, 0 from artifacts_as_of(t) a where a.id = artifact
        union
        select step.kind, step.id, walk.hop + 1
        from walk join step on step.near_kind = walk.kind and step.near_id = walk.id
        where (hops is null or walk.hop < hops)
            and not exists (select 1 from recurring.walk seen where seen.kind = step.kind and seen.id = step.id)
    )
    select walk.hop, walk.kind, walk.id, coalesce(a.type, e.type) as type, coalesce(a.name, e.name) as name,
        a.uri, coalesce(a.state, e.state) as state
    from walk
    left join artifacts_as_of(t) a on walk.kind = 'artifact' and a.id = walk.id
    left join executions_as_of(t) e on walk.kind = 'execution' and e.id = walk.id
    order by walk.hop, walk.kind, walk.id;

-- What an artifact was made from, as known at a moment: each execution and artifact once, at its fewest hops. One hop is from an artifact to an execution or back; hop 0 is the artifact itself; null hops: as far as it goes.
create macro lineage_upstream(artifact_id, t := 'now', hops := 20) as table
    select * from lineage(artifact_id, t, hops, true);

-- What was made from an artifact, as known at a moment: each execution and artifact once, at its fewest hops. One hop is from an artifact to an execution or back; hop 0 is the artifact itself; null hops: as far as it goes.
create macro lineage_downstream(artifact_id, t := 'now', hops := 20) as table
    select * from lineage(artifact_id, t, hops, false);

-- Every change put from one moment to another, in the order of the log: added, changed or linked, with who did it and why. An edge has the ids of its two ends.
create macro changes_between(t0, t1 := 'now') as table
    with node as (
        select 'artifact' as kind, id, type, name, valid_from_offset from artifacts
        union all select 'execution', id, type, name, valid_from_offset from executions
        union all select 'context', id, type, name, valid_from_offset from contexts
        union all select kind || ' type', id, null, name, valid_from_offset from types
    ),
    put as (
        select valid_from_offset, kind, id, null::bigint as to_id, type, name,
            case when lag(valid_from_offset) over (partition by kind, id order by valid_from_offset) is null
                then 'added' else 'changed' end as change
        from node
        union all select valid_from_offset, 'event', execution_id, artifact_id, type, null, 'linked' from events
        union all select valid_from_offset, 'attribution', context_id, artifact_id, null, null, 'linked' from attributions
        union all select valid_from_offset, 'association', context_id, execution_id, null, null, 'linked' from associations
        union all select valid_from_offset, 'parent_context', parent_id, child_id, null, null, 'linked' from parent_contexts
    )
    select r.offset, r.time, r.actor, put.change, put.kind, put.id, put.to_id, put.type, put.name, r.api, r.reason
    from put join records r on r.offset = put.valid_from_offset
    where put.valid_from_offset >= moment(t0) and put.valid_from_offset < moment(t1)
    order by r.offset, put.kind, put.id, put.to_id;
