-- Runs that nobody gets on with: how often one was taken over since a step of it was last recorded.

alter table flowstone.runs add column adoptions integer not null default 0, add column adopted_at timestamptz,
    add column adopted_event bigint not null default 0;
comment on column flowstone.runs.adoptions is 'How often it was taken over since a step of it was last recorded.';
comment on column flowstone.runs.adopted_at is 'When it was taken over last, for people.';
comment on column flowstone.runs.adopted_event is 'Its last event then.';
