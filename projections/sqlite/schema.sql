-- current.sqlite: the state of the store at one offset, one row a node, ready to answer.
-- `body` is the answer to a read, made by the face and opaque here; the other columns find it.
-- `since` is the offset of the record that put the row. A row that is put again moves to the table's `_past` (past.py makes
-- those), with the offset of the record that replaced it. Edges are never replaced; ids grow with the offset, unless `disorder` says
-- that they do not.
-- Ids and times come from the records: the same records give the same rows, in any process, in any year.

create table view (
    schema_version integer not null,
    log_id blob not null,           -- of the log this is a view of
    applied integer not null,       -- offset of the next record to apply
    prev blob not null,             -- first 16 bytes of the hash of the last leaf applied: which history this is a view of
    boot text not null              -- boot of the machine in which it was last written; '' once it is on the disk, whole
) strict;

create table personal (           -- one row: the rules that hold now; none where none were ever declared
    offset integer not null,        -- of the record that declared them
    rules blob not null             -- MessagePack, as in that record
) strict;

create table token (              -- one row for each token that was added and not removed: who serves the store asks for one while there is any.
    name text primary key           -- For servers: no answer depends on it, so it is not part of the digest
) strict, without rowid;

create table type (
    id integer primary key,
    since integer not null,
    kind text not null,             -- artifact, execution, context
    name text not null,
    version text not null,          -- '' where the type has none
    external_id text,
    description text,
    base_type text,                 -- name of the system type it is based on
    properties blob not null,       -- JSONB: {name: INT | DOUBLE | STRING | STRUCT | PROTO | BOOLEAN}
    body blob not null
) strict;
create unique index type_name on type (kind, name, version);
create unique index type_external_id on type (kind, external_id) where external_id is not null;

create table artifact (
    id integer primary key,
    since integer not null,
    type_id integer not null,
    name text,
    external_id text,
    uri text not null,
    state text,
    create_time integer not null,   -- milliseconds since 1970; ids are in its order, unless `disorder` says that they are not
    update_time integer not null,
    properties blob,                -- JSONB {name: value}; null where there is none. For filters: the body is the answer.
                                    -- A struct is an object, a proto an array: [type url, base64]
    custom_properties blob,
    body blob not null
) strict;
create unique index artifact_name on artifact (name, type_id) where name is not null;
create unique index artifact_external_id on artifact (external_id) where external_id is not null;
create index artifact_uri on artifact (uri);
create index artifact_type on artifact (type_id);
create index artifact_update_time on artifact (update_time);

create table execution (
    id integer primary key,
    since integer not null,
    type_id integer not null,
    name text,
    external_id text,
    state text,
    create_time integer not null,
    update_time integer not null,
    properties blob,
    custom_properties blob,
    body blob not null
) strict;
create unique index execution_name on execution (name, type_id) where name is not null;
create unique index execution_external_id on execution (external_id) where external_id is not null;
create index execution_type on execution (type_id);
create index execution_update_time on execution (update_time);

create table context (
    id integer primary key,
    since integer not null,
    type_id integer not null,
    name text not null,
    external_id text,
    create_time integer not null,
    update_time integer not null,
    properties blob,
    custom_properties blob,
    body blob not null
) strict;
create unique index context_name on context (name, type_id);
create unique index context_external_id on context (external_id) where external_id is not null;
create index context_type on context (type_id);
create index context_update_time on context (update_time);

create table event (
    id integer primary key,         -- the order in which events were put
    artifact_id integer not null,
    execution_id integer not null,
    type text not null,
    is_output integer not null,     -- 1: the execution made the artifact; 0: it read it
    time integer not null,
    since integer not null,
    body blob not null
) strict;
create unique index event_artifact on event (artifact_id, is_output, execution_id, type);
create index event_execution on event (execution_id, is_output, artifact_id);

create table attribution (
    context_id integer not null,
    artifact_id integer not null,
    seq integer not null,           -- grows in the order in which links were put: offset * 2^24 + number in the record
    primary key (context_id, artifact_id)
) strict, without rowid;
create index attribution_artifact on attribution (artifact_id, context_id, seq);

create table association (
    context_id integer not null,
    execution_id integer not null,
    seq integer not null,           -- grows in the order in which links were put: offset * 2^24 + number in the record
    primary key (context_id, execution_id)
) strict, without rowid;
create index association_execution on association (execution_id, context_id, seq);

create table parent_context (
    id integer primary key,         -- the order in which links were made
    parent_id integer not null,
    child_id integer not null,
    since integer not null
) strict;
create unique index parent_context_child on parent_context (child_id, parent_id);
create index parent_context_parent on parent_context (parent_id, child_id);

create table answered (
    transaction_id blob primary key,    -- chosen by the caller, so that a put can be sent again
    request blob not null,              -- hash of what was asked
    response blob not null              -- what was answered, and will be again
) strict, without rowid;

create table landmark (
    offset integer primary key,         -- of a record, here and there
    update_time integer not null        -- no node put before it has a higher one: where to begin looking for what was put last then
) strict;

create table disorder (                 -- a row for each order that an import broke: see order.py
    tab text not null,
    col text not null,                  -- id: a row was put after one of a higher id; create_time: it is less than that of a lower id
    primary key (tab, col)
) strict, without rowid;
