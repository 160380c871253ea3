-- What became of the items that steps go through: a row each, of the set of its step.

create table flowstone.item_sets (
    id      bigint generated always as identity primary key,
    run_id  text collate "C" not null,
    asset   text collate "C" not null,
    key     text collate "C" not null,
    unique (run_id, asset, key)
);
comment on table flowstone.item_sets is 'Steps that went through items. Without reference to the run: a value outlives it.';

create table flowstone.items (
    set_id    bigint not null references flowstone.item_sets on delete cascade,
    position  bigint not null,
    status    smallint not null,
    attempt   integer not null,
    name      text collate "C",
    location  text collate "C",
    failure   json,
    primary key (set_id, position)
);
comment on table flowstone.items is 'How each item of a step ended; written once.';
comment on column flowstone.items.status is '1 succeeded, 2 failed, 3 skipped.';
comment on column flowstone.items.name is 'What names it; null: its position.';

create index items_unusual on flowstone.items (set_id, status, position) where status <> 1;
