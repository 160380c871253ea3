-- Schedules, sensors and the like: where each has got to. A row is changed by whoever knows its version, in one transaction
-- with the runs that the change starts. It is locked before any run: nobody who has locked a run looks at it.

create table flowstone.automations (
    pipeline  text collate "C" not null,
    name      text collate "C" not null,
    kind      text collate "C" not null,
    definition text not null,
    version   bigint not null default 1,
    cursor    json,
    pending   json not null default '[]',
    paused    boolean not null default false,
    failures  integer not null default 0,
    failure   json,
    since     timestamptz not null default clock_timestamp(),
    gone_at   timestamptz,
    token     text,
    answer    json,
    primary key (pipeline, name)
) with (fillfactor = 50);
comment on table flowstone.automations is 'Schedules, sensors and the like, and where each has got to.';
comment on column flowstone.automations.definition is 'What decides when it acts, as people read it.';
comment on column flowstone.automations.version is 'Raised by each change; a change that was decided upon another version is refused.';
comment on column flowstone.automations.pending is 'What it has decided to do and not done yet, in order.';
comment on column flowstone.automations.gone_at is 'Since when no pipeline defines it.';
comment on column flowstone.automations.token is 'The last change: one that is sent again after a lost answer is not made twice.';
comment on column flowstone.automations.answer is 'The runs of the last change.';

create table flowstone.automation_fires (
    pipeline  text collate "C" not null,
    name      text collate "C" not null,
    version   bigint not null,
    fire      json not null,
    runs      text[] collate "C" not null,
    primary key (pipeline, name, version),
    foreign key (pipeline, name) references flowstone.automations on delete cascade
);
comment on table flowstone.automation_fires is 'What automations did: the last hundred of each.';

create table flowstone.automation_keys (
    pipeline  text collate "C" not null,
    name      text collate "C" not null,
    key       text collate "C" not null,
    run_id    text collate "C" not null,
    primary key (pipeline, name, key),
    foreign key (pipeline, name) references flowstone.automations on delete cascade
);
comment on table flowstone.automation_keys is 'The keys by which automations asked for runs: each asks by a key once.';
