-- Runs, what happened in them, and what is current.
--
-- Text that is an identifier is compared byte by byte (collate "C"): faster, and the same on every machine.
-- A partition key is never null here: '' is "no partition".
-- Details are json, not jsonb: jsonb turns 1e20 into an integer and cannot hold what a text may hold.

create sequence flowstone.arrivals;
comment on sequence flowstone.arrivals is 'The order in which terminal records arrived.';

create sequence flowstone.finishes;
comment on sequence flowstone.finishes is 'The order in which runs finished.';

create table flowstone.runs (
    id            text collate "C" primary key,
    pipeline      text collate "C" not null,
    asset         text collate "C" not null,
    request       json not null,
    status        text collate "C" not null,
    created_at    timestamptz not null,
    started_at    timestamptz,
    finished_at   timestamptz,
    owner         text collate "C",
    epoch         integer not null default 0,
    total         bigint not null default 0,
    key           text collate "C",
    priority      integer not null default 0,
    submitted     boolean not null default false,
    cancelling    boolean not null default false,
    last_event    bigint not null default 1,
    first_event   bigint not null default 1,
    succeeded     bigint not null default 0,
    failed        bigint not null default 0,
    skipped       bigint not null default 0,
    reused        bigint not null default 0,
    cancelled     bigint not null default 0,
    finish_order  bigint,
    long          boolean not null default false
) with (fillfactor = 60);
comment on table flowstone.runs is 'One row a run: what was asked for, who drives it, how far it is.';
comment on column flowstone.runs.key is 'At most one unfinished run has this key.';
comment on column flowstone.runs.epoch is 'Raised when the run changes owner; writes under an older one are refused.';
comment on column flowstone.runs.finish_order is 'Set when the run has finished.';
comment on column flowstone.runs.long is 'The run has finished, with more events than are to stay.';

-- No index mentions last_event or the counts, which change with every batch: so those updates stay in their page.

create unique index runs_key on flowstone.runs (key) where key is not null and finish_order is null;
create index runs_unfinished on flowstone.runs (id) where finish_order is null;
create index runs_owner on flowstone.runs (owner) where finish_order is null;
create index runs_finished on flowstone.runs (finish_order) where finish_order is not null;
create index runs_status on flowstone.runs (status, id);
create index runs_long on flowstone.runs (id) where long;

create table flowstone.events (
    run_id   text collate "C" not null,
    number   bigint not null,
    kind     text collate "C" not null,
    at       timestamptz not null,
    asset    text collate "C" not null,
    key      text collate "C" not null,
    attempt  integer,
    details  json,
    primary key (run_id, number)
);
comment on table flowstone.events is 'What happened in a run, but for the ends of steps: those are materializations.';

create index events_attempts on flowstone.events (run_id, asset, key, attempt) where kind in ('step.started', 'step.retried');

create table flowstone.materializations (
    run_id        text collate "C" not null,
    asset         text collate "C" not null,
    key           text collate "C" not null,
    number        bigint not null,
    status        text collate "C" not null,
    attempt       integer not null,
    started_at    timestamptz,
    finished_at   timestamptz not null,
    code_version  text,
    data_version  text,
    location      text,
    io            text not null,
    size          bigint,
    details       json,
    event         json,
    arrival       bigint not null,
    listed        boolean not null default true,
    kept          boolean not null default true,
    primary key (run_id, asset, key)
);
comment on table flowstone.materializations is 'The terminal record of each step of each run.';
comment on column flowstone.materializations.number is 'Its place among the events of the run.';
comment on column flowstone.materializations.details is 'Metadata, failure and inputs, where there are any.';
comment on column flowstone.materializations.event is 'The event that ended the step, where it says something else than the record.';
comment on column flowstone.materializations.listed is 'Whether its run is still remembered.';
comment on column flowstone.materializations.kept is 'Whether it is still part of the history of its asset and partition.';

create index materializations_number on flowstone.materializations (run_id, number) where listed;
create index materializations_unusual on flowstone.materializations (run_id, status, number)
    where listed and status <> 'succeeded';
create index materializations_history on flowstone.materializations (asset, key, finished_at, arrival) where kept;

create table flowstone.current (
    asset        text collate "C" not null,
    key          text collate "C" not null,
    run_id       text collate "C" not null,
    finished_at  timestamptz not null,
    arrival      bigint not null,
    valid        boolean not null default true,
    primary key (asset, key)
) with (fillfactor = 80);
comment on table flowstone.current is 'The newest success of each asset and partition; it is current while it is valid.';

create table flowstone.inputs (
    asset         text collate "C" not null,
    key           text collate "C" not null,
    consumer      text collate "C" not null,
    consumer_key  text collate "C" not null,
    run_id        text collate "C" not null
);
comment on table flowstone.inputs is 'Which success (consumer, consumer_key, run_id) was computed from which asset and partition.';

create index inputs_upstream on flowstone.inputs (asset, key, consumer, consumer_key);
create index inputs_consumer on flowstone.inputs (run_id, consumer, consumer_key);

create table flowstone.superseded (
    asset  text collate "C" not null,
    key    text collate "C" not null,
    kept   integer,
    primary key (asset, key)
) with (fillfactor = 70);
comment on table flowstone.superseded is 'Assets and partitions with more than one success, or an invalid one, for retention.';
comment on column flowstone.superseded.kept is 'Successes that are left since retention last looked; null: it has to look.';

create index superseded_kept on flowstone.superseded (coalesce(kept, 2147483647));

create table flowstone.payloads (
    location  text collate "C" primary key,
    content   bytea not null,
    at        timestamptz not null default now()
);
alter table flowstone.payloads alter column content set storage external;
comment on table flowstone.payloads is 'Values that are kept beside their success records.';

create table flowstone.partition_keys (
    set       text collate "C" not null,
    key       text collate "C" not null,
    position  bigint generated always as identity,
    primary key (set, key)
);
comment on table flowstone.partition_keys is 'The keys of dynamic partition sets, in the order they were added.';

create table flowstone.journals (
    id       uuid primary key,
    batch    bigint not null,
    refused  jsonb,
    at       timestamptz not null default now()
) with (fillfactor = 50);
comment on table flowstone.journals is 'The last batch each writer recorded: one that is sent again after a lost answer is not recorded twice.';
