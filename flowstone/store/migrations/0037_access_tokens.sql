-- Who may do what at the HTTP server: tokens, and the sessions of browsers that were begun with one.

create table flowstone.access_tokens (
    digest      text collate "C" primary key,
    name        text not null,
    role        text not null,
    created_at  timestamptz not null,
    created_by  text,
    expires_at  timestamptz,
    used_at     timestamptz,
    revoked_at  timestamptz,
    number      bigint generated always as identity
);
comment on table flowstone.access_tokens is 'Tokens of the HTTP server: the SHA-256 of each, never the token itself.';
comment on column flowstone.access_tokens.used_at is 'To the minute.';
comment on column flowstone.access_tokens.number is 'In the order in which they were made.';

create unique index access_tokens_name on flowstone.access_tokens (name) where revoked_at is null;

create table flowstone.sessions (
    digest      text collate "C" primary key,
    token       text collate "C" not null,
    expires_at  timestamptz not null,
    number      bigint generated always as identity
);
comment on table flowstone.sessions is 'Browsers that are logged in: the SHA-256 of the cookie of each.';
comment on column flowstone.sessions.token is 'The digest of the token by which it was begun.';

create index sessions_token on flowstone.sessions (token, number);
create index sessions_expires_at on flowstone.sessions (expires_at);
