-- history.duckdb: everything that was ever put, for questions in SQL. The comment behind a table or column becomes its COMMENT.
--
-- A row of `types`, `artifacts`, `executions` or `contexts` is one version of one thing. `valid_from_offset` is the offset of the
-- record that put it, `valid_to_offset` that of the record that replaced it, null as long as none has. After the first T records
-- (the moment that `--at '#T'` names) it held if valid_from_offset < T and (valid_to_offset is null or valid_to_offset >= T). The
-- times beside them are those of the same records: at a time t it held if valid_from <= t and (valid_to is null or valid_to > t).
-- Put twice by one record, only the last is a version: the first was never to be seen. Edges are never replaced.
-- Ids and times come from the records: the same records give the same rows, in any process, in any year.

create table watermark (            -- One row: which log this is a view of, and how far it was read.
    schema_version integer not null,    -- Of the tables of this file.
    log_id blob not null,               -- Of the log.
    applied bigint not null,            -- How many records the tables show: the offset of the next one to apply.
    prev blob not null                  -- First 16 bytes of the hash of the last leaf applied: which history this is a view of.
);

create table records (              -- The records of the log: each put that was acknowledged is one.
    "offset" bigint not null,           -- Number of the record, from 0, without gaps. A word of SQL: write "offset", or records.offset.
    time timestamptz not null,          -- When it was put. Grows with the offset.
    actor varchar,                      -- Who put it.
    auth varchar,                       -- How the actor is known: os, asserted or tls.
    application varchar,                -- Which program put it.
    host varchar,                       -- On which machine that program ran.
    pid bigint,                         -- Its process there; 0 where only its address is known.
    api varchar,                        -- The call, such as PutArtifacts.
    reason varchar,                     -- Why, where the actor said so.
    transaction_id uuid,                -- Names the put across retries.
    changes struct(kind varchar, id bigint)[]   -- What it put, in order: the kind, and the id where that kind has one.
);

create table types (                -- Versions of types of artifacts, executions and contexts. A type is replaced when it gets properties.
    id bigint not null,                 -- Of the type, the same in all its versions.
    kind varchar not null,              -- artifact, execution or context.
    name varchar not null,              -- Never changes.
    version varchar,                    -- The version that its maker gave it; null where there is none.
    description varchar,                -- What its maker wrote of it.
    external_id varchar,                -- Its name in another system.
    base_type varchar,                  -- Name of the system type it is based on, such as mlmd.Model.
    properties map(varchar, varchar),   -- Name -> INT, DOUBLE, STRING, STRUCT, PROTO or BOOLEAN.
    input_type variant,                 -- Of an execution type: what it reads, as ArtifactStructType in JSON.
    output_type variant,                -- Of an execution type: what it makes, as ArtifactStructType in JSON.
    valid_from_offset bigint not null,  -- Offset of the record that put this version.
    valid_to_offset bigint,             -- Offset of the record that replaced it; null while it holds.
    valid_from timestamptz not null,    -- Time of the record that put this version.
    valid_to timestamptz,               -- Time of the record that replaced it; null while it holds.
    is_current boolean generated always as (valid_to_offset is null)    -- Nothing has replaced it.
);

create table artifacts (            -- Versions of artifacts: data sets, models, whatever was made or read.
    id bigint not null,                 -- Of the artifact, the same in all its versions.
    type varchar,                       -- Name of its type.
    type_id bigint not null,            -- Id of its type: types.id.
    name varchar,                       -- Unique within the type; null where there is none.
    external_id varchar,                -- Its name in another system.
    uri varchar,                        -- Where it lies.
    state varchar,                      -- PENDING, LIVE, MARKED_FOR_DELETION, DELETED, ABANDONED, REFERENCE or UNKNOWN; null where not said.
    create_time timestamptz not null,   -- When its first version was put.
    update_time timestamptz not null,   -- When it last changed, as of this version.
    properties variant,                 -- Those of its type: properties.accuracy, properties['a name']. Each value has the type it was put with.
    custom_properties variant,          -- Those of its own, likewise. A struct is an object, a proto [type url, base64].
    valid_from_offset bigint not null,  -- Offset of the record that put this version.
    valid_to_offset bigint,             -- Offset of the record that replaced it; null while it holds.
    valid_from timestamptz not null,    -- Time of the record that put this version.
    valid_to timestamptz,               -- Time of the record that replaced it; null while it holds.
    is_current boolean generated always as (valid_to_offset is null)    -- Nothing has replaced it.
);

create table executions (           -- Versions of executions: the runs that read and made artifacts.
    id bigint not null,                 -- Of the execution, the same in all its versions.
    type varchar,                       -- Name of its type.
    type_id bigint not null,            -- Id of its type: types.id.
    name varchar,                       -- Unique within the type; null where there is none.
    external_id varchar,                -- Its name in another system.
    state varchar,                      -- NEW, RUNNING, COMPLETE, FAILED, CACHED, CANCELED or UNKNOWN; null where not said.
    create_time timestamptz not null,   -- When its first version was put.
    update_time timestamptz not null,   -- When it last changed, as of this version.
    properties variant,                 -- Those of its type: properties.steps, properties['a name']. Each value has the type it was put with.
    custom_properties variant,          -- Those of its own, likewise. A struct is an object, a proto [type url, base64].
    valid_from_offset bigint not null,  -- Offset of the record that put this version.
    valid_to_offset bigint,             -- Offset of the record that replaced it; null while it holds.
    valid_from timestamptz not null,    -- Time of the record that put this version.
    valid_to timestamptz,               -- Time of the record that replaced it; null while it holds.
    is_current boolean generated always as (valid_to_offset is null)    -- Nothing has replaced it.
);

create table contexts (             -- Versions of contexts: what groups artifacts and executions, such as pipelines and their runs.
    id bigint not null,                 -- Of the context, the same in all its versions.
    type varchar,                       -- Name of its type.
    type_id bigint not null,            -- Id of its type: types.id.
    name varchar,                       -- Unique within the type.
    external_id varchar,                -- Its name in another system.
    create_time timestamptz not null,   -- When its first version was put.
    update_time timestamptz not null,   -- When it last changed, as of this version.
    properties variant,                 -- Those of its type: properties.owner, properties['a name']. Each value has the type it was put with.
    custom_properties variant,          -- Those of its own, likewise. A struct is an object, a proto [type url, base64].
    valid_from_offset bigint not null,  -- Offset of the record that put this version.
    valid_to_offset bigint,             -- Offset of the record that replaced it; null while it holds.
    valid_from timestamptz not null,    -- Time of the record that put this version.
    valid_to timestamptz,               -- Time of the record that replaced it; null while it holds.
    is_current boolean generated always as (valid_to_offset is null)    -- Nothing has replaced it.
);

create table events (               -- Edges between executions and artifacts: who read and who made what.
    id bigint not null,                 -- The order in which events were put.
    artifact_id bigint not null,        -- artifacts.id.
    execution_id bigint not null,       -- executions.id.
    type varchar not null,              -- INPUT, DECLARED_INPUT, INTERNAL_INPUT; OUTPUT, DECLARED_OUTPUT, INTERNAL_OUTPUT, PENDING_OUTPUT; UNKNOWN.
    is_output boolean not null,         -- True where the execution made the artifact, false where it read it.
    time timestamptz not null,          -- When it happened, as its maker said.
    time_ms bigint not null,            -- The same in milliseconds since 1970, exactly as put: it may be any number.
    path variant,                       -- Where in the input or output the artifact stands: an array of names and numbers.
    valid_from_offset bigint not null,  -- Offset of the record that put it.
    valid_to_offset bigint generated always as (null::bigint),      -- Null: an edge is never replaced.
    valid_from timestamptz not null,    -- Time of the record that put it.
    valid_to timestamptz generated always as (null::timestamptz),   -- Null: an edge is never replaced.
    is_current boolean generated always as (true)                   -- True: an edge is never replaced.
);

create table attributions (         -- Which artifact belongs to which context.
    context_id bigint not null,         -- contexts.id.
    artifact_id bigint not null,        -- artifacts.id.
    valid_from_offset bigint not null,  -- Offset of the record that put it.
    valid_to_offset bigint generated always as (null::bigint),      -- Null: an edge is never replaced.
    valid_from timestamptz not null,    -- Time of the record that put it.
    valid_to timestamptz generated always as (null::timestamptz),   -- Null: an edge is never replaced.
    is_current boolean generated always as (true)                   -- True: an edge is never replaced.
);

create table associations (         -- Which execution belongs to which context.
    context_id bigint not null,         -- contexts.id.
    execution_id bigint not null,       -- executions.id.
    valid_from_offset bigint not null,  -- Offset of the record that put it.
    valid_to_offset bigint generated always as (null::bigint),      -- Null: an edge is never replaced.
    valid_from timestamptz not null,    -- Time of the record that put it.
    valid_to timestamptz generated always as (null::timestamptz),   -- Null: an edge is never replaced.
    is_current boolean generated always as (true)                   -- True: an edge is never replaced.
);

create table parent_contexts (      -- Which context is the parent of which.
    id bigint not null,                 -- The order in which such links were made.
    parent_id bigint not null,          -- contexts.id of the parent.
    child_id bigint not null,           -- contexts.id of the child.
    valid_from_offset bigint not null,  -- Offset of the record that put it.
    valid_to_offset bigint generated always as (null::bigint),      -- Null: an edge is never replaced.
    valid_from timestamptz not null,    -- Time of the record that put it.
    valid_to timestamptz generated always as (null::timestamptz),   -- Null: an edge is never replaced.
    is_current boolean generated always as (true)                   -- True: an edge is never replaced.
);
