create schema if not exists flowstone;
create table flowstone.migrations (
    number      integer primary key,
    name        text not null,
    applied_at  timestamptz not null default now()
);
