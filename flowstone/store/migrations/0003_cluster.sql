-- Who lives, and who executes which step.

create table flowstone.nodes (
    id          text collate "C" primary key,
    host        text not null,
    pid         integer not null,
    version     text not null,
    pipelines   text[] not null,
    capacity    integer not null,
    lease       double precision not null,
    joined_at   timestamptz not null default clock_timestamp(),
    beat_at     timestamptz not null default clock_timestamp(),
    expires_at  timestamptz not null,
    gone        boolean not null default false,
    clock_skew  double precision not null default 0,
    tree        json,
    tree_at     timestamptz
) with (fillfactor = 50);
comment on table flowstone.nodes is 'One row a node; it is alive until expires_at, by the clock of this database.';
comment on column flowstone.nodes.gone is 'It has left: a beat that was under way then does not bring it back.';

create index nodes_alive on flowstone.nodes (expires_at);

create sequence flowstone.grants;
comment on sequence flowstone.grants is 'The order in which step leases were given.';

create table flowstone.step_leases (
    run_id      text collate "C" not null,
    asset       text collate "C" not null,
    key         text collate "C" not null,
    attempt     integer not null,
    epoch       integer not null,
    node        text collate "C" not null,
    failed      integer not null default 0,
    cancelled   boolean not null default false,
    granted     bigint not null default nextval('flowstone.grants'),
    primary key (run_id, asset, key)
) with (fillfactor = 70);
comment on table flowstone.step_leases is 'Which node executes which attempt; the owner of the run gives and takes them.';

create index step_leases_node on flowstone.step_leases (node, granted);
