-- What the code of attempts logged and printed. Lines are kept many in a row, and numbered run by run in the order in which
-- they are committed: whoever writes for a run locks its head, so that nobody who reads on from a number misses one.

create table flowstone.log_heads (
    run_id  text collate "C" primary key,
    last    bigint not null
) with (fillfactor = 50);
comment on table flowstone.log_heads is 'Runs that have a log, and how far it is numbered. Without reference to the run, which need not be locked.';

create table flowstone.logs (
    run_id   text collate "C" not null,
    number   bigint not null,
    asset    text collate "C" not null,
    key      text collate "C" not null,
    attempt  integer not null,
    writer   bigint not null,
    part     bigint not null,
    at       timestamptz not null,
    lines    json not null,
    primary key (run_id, number),
    unique (run_id, asset, key, writer, part)
);
comment on table flowstone.logs is 'Lines of one attempt that were written together.';
comment on column flowstone.logs.number is 'That of the last of its lines.';
comment on column flowstone.logs.writer is 'Whose part it is: one that is sent again after a lost answer is not kept twice.';
comment on column flowstone.logs.at is 'When the first of its lines was said.';
comment on column flowstone.logs.lines is 'Of each microseconds since the first one, the level, the message and perhaps fields.';
