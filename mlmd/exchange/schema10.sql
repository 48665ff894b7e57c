-- A SQLite database of ML Metadata, schema version 10, as ml-metadata 1.17.1 makes and expects it. Indexes are made last.

create table `Type` (
    `id` integer primary key autoincrement,
    `name` varchar(255) not null,
    `version` varchar(255),
    `type_kind` tinyint(1) not null,    -- 0 execution, 1 artifact, 2 context
    `description` text,
    `input_type` text,                  -- ArtifactStructType as JSON
    `output_type` text,
    `external_id` varchar(255) unique
);
create table `TypeProperty` (
    `type_id` int not null,
    `name` varchar(255) not null,
    `data_type` int null,               -- the number of a PropertyType
    primary key (`type_id`, `name`)
);
create table `ParentType` (
    `type_id` int not null,
    `parent_type_id` int not null,
    primary key (`type_id`, `parent_type_id`)
);
create table `Artifact` (
    `id` integer primary key autoincrement,
    `type_id` int not null,
    `uri` text,
    `state` int,
    `name` varchar(255),
    `external_id` varchar(255) unique,
    `create_time_since_epoch` int not null default 0,
    `last_update_time_since_epoch` int not null default 0,
    unique (`type_id`, `name`)
);
create table `Execution` (
    `id` integer primary key autoincrement,
    `type_id` int not null,
    `last_known_state` int,
    `name` varchar(255),
    `external_id` varchar(255) unique,
    `create_time_since_epoch` int not null default 0,
    `last_update_time_since_epoch` int not null default 0,
    unique (`type_id`, `name`)
);
create table `Context` (
    `id` integer primary key autoincrement,
    `type_id` int not null,
    `name` varchar(255) not null,
    `external_id` varchar(255) unique,
    `create_time_since_epoch` int not null default 0,
    `last_update_time_since_epoch` int not null default 0,
    unique (`type_id`, `name`)
);
create table `ArtifactProperty` (
    `artifact_id` int not null,
    `name` varchar(255) not null,
    `is_custom_property` tinyint(1) not null,
    `int_value` int,
    `double_value` double,
    `string_value` text,                -- a struct: mlmd-struct:: and base64
    `byte_value` blob,
    `proto_value` blob,                 -- a google.protobuf.Any, base64
    `bool_value` boolean,
    primary key (`artifact_id`, `name`, `is_custom_property`)
);
create table `ExecutionProperty` (
    `execution_id` int not null,
    `name` varchar(255) not null,
    `is_custom_property` tinyint(1) not null,
    `int_value` int,
    `double_value` double,
    `string_value` text,
    `byte_value` blob,
    `proto_value` blob,
    `bool_value` boolean,
    primary key (`execution_id`, `name`, `is_custom_property`)
);
create table `ContextProperty` (
    `context_id` int not null,
    `name` varchar(255) not null,
    `is_custom_property` tinyint(1) not null,
    `int_value` int,
    `double_value` double,
    `string_value` text,
    `byte_value` blob,
    `proto_value` blob,
    `bool_value` boolean,
    primary key (`context_id`, `name`, `is_custom_property`)
);
create table `Event` (
    `id` integer primary key autoincrement,
    `artifact_id` int not null,
    `execution_id` int not null,
    `type` int not null,                -- the number of an Event.Type
    `milliseconds_since_epoch` int,
    unique (`artifact_id`, `execution_id`, `type`)
);
create table `EventPath` (
    `event_id` int not null,
    `is_index_step` tinyint(1) not null,
    `step_index` int,
    `step_key` text
);
create table `Attribution` (
    `id` integer primary key autoincrement,
    `context_id` int not null,
    `artifact_id` int not null,
    unique (`context_id`, `artifact_id`)
);
create table `Association` (
    `id` integer primary key autoincrement,
    `context_id` int not null,
    `execution_id` int not null,
    unique (`context_id`, `execution_id`)
);
create table `ParentContext` (
    `context_id` int not null,
    `parent_context_id` int not null,
    primary key (`context_id`, `parent_context_id`)
);
create table `MLMDEnv` (`schema_version` integer primary key);

create index `idx_artifact_uri` on `Artifact`(`uri`);
create index `idx_artifact_create_time_since_epoch` on `Artifact`(`create_time_since_epoch`);
create index `idx_artifact_last_update_time_since_epoch` on `Artifact`(`last_update_time_since_epoch`);
create index `idx_artifact_external_id` on `Artifact`(`external_id`);
create index `idx_execution_create_time_since_epoch` on `Execution`(`create_time_since_epoch`);
create index `idx_execution_last_update_time_since_epoch` on `Execution`(`last_update_time_since_epoch`);
create index `idx_execution_external_id` on `Execution`(`external_id`);
create index `idx_context_create_time_since_epoch` on `Context`(`create_time_since_epoch`);
create index `idx_context_last_update_time_since_epoch` on `Context`(`last_update_time_since_epoch`);
create index `idx_context_external_id` on `Context`(`external_id`);
create index `idx_type_name` on `Type`(`name`);
create index `idx_type_external_id` on `Type`(`external_id`);
create index `idx_event_execution_id` on `Event`(`execution_id`);
create index `idx_eventpath_event_id` on `EventPath`(`event_id`);
create index `idx_parentcontext_parent_context_id` on `ParentContext`(`parent_context_id`);
create index `idx_artifact_property_int` on `ArtifactProperty`(`name`, `is_custom_property`, `int_value`) where `int_value` is not null;
create index `idx_artifact_property_double` on `ArtifactProperty`(`name`, `is_custom_property`, `double_value`) where `double_value` is not null;
create index `idx_artifact_property_string` on `ArtifactProperty`(`name`, `is_custom_property`, `string_value`) where `string_value` is not null;
create index `idx_execution_property_int` on `ExecutionProperty`(`name`, `is_custom_property`, `int_value`) where `int_value` is not null;
create index `idx_execution_property_double` on `ExecutionProperty`(`name`, `is_custom_property`, `double_value`) where `double_value` is not null;
create index `idx_execution_property_string` on `ExecutionProperty`(`name`, `is_custom_property`, `string_value`) where `string_value` is not null;
create index `idx_context_property_int` on `ContextProperty`(`name`, `is_custom_property`, `int_value`) where `int_value` is not null;
create index `idx_context_property_double` on `ContextProperty`(`name`, `is_custom_property`, `double_value`) where `double_value` is not null;
create index `idx_context_property_string` on `ContextProperty`(`name`, `is_custom_property`, `string_value`) where `string_value` is not null;
